package filesystem

import (
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Entry is what a path names. Texts are as the kernel has them, which may not be
// UTF-8.
type Entry struct {
	Name string
	Path string
	// Mode is that of the entry itself. Target is that of what a symbolic link leads
	// to, fs.ModeIrregular for a link to nothing, and Mode for everything else.
	Mode, Target fs.FileMode
	Size         int64 // bytes
	Modified     time.Time
	// Owner and Group are names, or numbers where /etc has no names for them.
	Owner, Group string
	// LinkTarget is absolute and set for symbolic links only.
	LinkTarget string
	Metadata   map[string]string
}

// IsLink tells symbolic links.
func (e *Entry) IsLink() bool { return e.Mode&fs.ModeSymlink != 0 }

// Describer describes entries. It caches the names of owners, so it must not live
// longer than one request or one batch of events. Make one with NewDescriber.
type Describer struct {
	users, groups map[uint32]string
}

// NewDescriber returns a describer that has looked up no names.
func NewDescriber() Describer {
	return Describer{users: make(map[uint32]string), groups: make(map[uint32]string)}
}

// Describe describes what is at a path; for a symbolic link, the link itself.
func (d Describer) Describe(path string) (Entry, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return Entry{}, err
	}
	entry := Entry{
		Name: filepath.Base(path), Path: path, Mode: info.Mode(), Target: info.Mode(),
		Size: info.Size(), Modified: info.ModTime(),
	}
	if entry.IsLink() {
		entry.followLink()
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		entry.Owner = lookUpOnce(d.users, stat.Uid, ownerName)
		entry.Group = lookUpOnce(d.groups, stat.Gid, groupName)
	}
	if info.Mode().IsRegular() || info.IsDir() {
		entry.Metadata = Metadata(path)
	}
	return entry, nil
}

func (e *Entry) followLink() {
	e.Target = fs.ModeIrregular
	if info, err := os.Stat(e.Path); err == nil {
		e.Target = info.Mode()
	}
	if target, err := os.Readlink(e.Path); err == nil {
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(e.Path), target)
		}
		e.LinkTarget = target
	}
}

func lookUpOnce(known map[uint32]string, number uint32, lookUp func(string) (string, error)) string {
	if name, ok := known[number]; ok {
		return name
	}
	name := strconv.FormatUint(uint64(number), 10)
	if found, err := lookUp(name); err == nil {
		name = found
	}
	known[number] = name
	return name
}

func ownerName(number string) (string, error) {
	found, err := user.LookupId(number)
	if err != nil {
		return "", err
	}
	return found.Username, nil
}

func groupName(number string) (string, error) {
	found, err := user.LookupGroupId(number)
	if err != nil {
		return "", err
	}
	return found.Name, nil
}
