package buildstep

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Copy unpacks an archive, which is its standard input, gzipped or not. Directories are
// merged with those that are there, links stay links.
type Copy struct {
	// Sources are what is taken of the archive.
	Sources []string `json:"sources"`
	// Destination is absolute; it ends with / for a directory.
	Destination string `json:"destination"`
	Owner       string `json:"owner"`
	Mode        string `json:"mode,omitempty"`
	// Extract unpacks archives in the archive.
	Extract bool `json:"extract,omitempty"`
	// Content: standard input is the file itself.
	Content bool `json:"content,omitempty"`
}

func (c Copy) do(ctx context.Context, stdin io.Reader) (Result, error) {
	to, err := newTarget(c.Destination, c.Owner, c.Mode)
	if err != nil {
		return Result{}, err
	}
	if c.Content {
		err = to.writeFile(to.fileName(path.Base(c.Destination)), stdin, 0o644, nil)
		return Result{Changed: true}, err
	}
	unpacker := unpacker{target: to, extract: c.Extract, several: len(c.Sources) > 1, links: make(map[string]string), roots: make(map[string]bool)}
	for _, text := range c.Sources {
		s, err := newSource(text)
		if err != nil {
			return Result{}, fmt.Errorf("source %q is not a pattern: %w", text, err)
		}
		unpacker.sources = append(unpacker.sources, s)
	}
	content, err := decompressed(stdin)
	if err != nil {
		return Result{}, fmt.Errorf("the upload is broken: %w", err)
	}
	if err := unpacker.unpack(ctx, tar.NewReader(content)); err != nil {
		return Result{}, err
	}
	return Result{Changed: true}, unpacker.requireAll()
}

// decompressed is a stream without its compression.
func decompressed(stream io.Reader) (io.Reader, error) {
	buffered := bufio.NewReaderSize(stream, 1<<18)
	start, err := buffered.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(start) == 2 && start[0] == 0x1f && start[1] == 0x8b {
		return gzip.NewReader(buffered)
	}
	return buffered, nil
}

// unpacker takes what is wanted of an archive.
type unpacker struct {
	*target
	sources []source
	extract bool
	several bool
	// links are where files of the archive are, for hard links to them.
	links map[string]string
	// roots are the matches of sources that were seen.
	roots map[string]bool
	found []bool // for each source
	// directories get their modification times last: what is put into them changes those.
	directories []*tar.Header
	places      []string
}

func (u *unpacker) unpack(ctx context.Context, archive *tar.Reader) error {
	u.found = make([]bool, len(u.sources))
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return u.finishDirectories()
		}
		if err != nil {
			return fmt.Errorf("the upload is broken: %w", err)
		}
		name := strings.TrimPrefix(path.Clean("/"+header.Name), "/")
		if name == "" {
			name = "."
		}
		if strings.ContainsRune(name, 0) {
			return errors.New("the upload has a name with a NUL byte")
		}
		if err := u.unpackOne(archive, header, name); err != nil {
			return err
		}
	}
}

func (u *unpacker) unpackOne(archive *tar.Reader, header *tar.Header, name string) error {
	for i, s := range u.sources {
		matched, below, ok := s.match(name)
		if !ok {
			continue
		}
		u.found[i] = true
		place, err := u.placeOf(s, matched, below, header.Typeflag == tar.TypeDir)
		if err != nil {
			return err
		}
		u.links[name] = place
		if err := u.write(archive, header, place); err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) {
				err = fmt.Errorf("the upload is broken: it ends within %s", header.Name)
			}
			return err
		}
		return nil // a file is copied once
	}
	return nil
}

// placeOf is where a file goes. What is below a source directory goes below the
// destination; a source file goes to the destination, or into it if that is a directory.
func (u *unpacker) placeOf(s source, matched, below string, isDirectory bool) (string, error) {
	if below != "" || isDirectory {
		return filepath.Join(u.destination, below), nil
	}
	u.roots[matched] = true
	if len(u.roots) > 1 && !u.several && !u.isDirectory() {
		return "", fmt.Errorf("source %q is more than one file: the destination has to end with /", s.text)
	}
	if u.several {
		return filepath.Join(u.destination, path.Base(matched)), nil
	}
	return u.fileName(path.Base(matched)), nil
}

// requireAll returns an error that names the sources that the archive does not have.
func (u *unpacker) requireAll() error {
	for i, s := range u.sources {
		if !u.found[i] && s.text != "." {
			return fmt.Errorf("%q was %w in the uploaded files: check the path and what is ignored", s.text, errMissing)
		}
	}
	return nil
}

func (u *unpacker) write(archive *tar.Reader, header *tar.Header, place string) error {
	switch header.Typeflag {
	case tar.TypeDir:
		return u.writeDirectory(header, place)
	case tar.TypeReg:
		if u.extract {
			return u.extractOrWrite(archive, header, place)
		}
		return u.writeFile(place, archive, header.FileInfo().Mode(), header)
	case tar.TypeSymlink:
		return u.replaceWith(place, func() error { return os.Symlink(header.Linkname, place) })
	case tar.TypeLink:
		name := strings.TrimPrefix(path.Clean("/"+header.Linkname), "/")
		target, known := u.links[name]
		if !known {
			return fmt.Errorf("%s is a hard link to %s, which is not copied", header.Name, header.Linkname)
		}
		if target == place {
			return nil
		}
		return u.replaceWith(place, func() error { return os.Link(target, place) })
	case tar.TypeFifo, tar.TypeChar, tar.TypeBlock:
		return u.writeNode(header, place)
	case tar.TypeXGlobalHeader:
		return nil
	default:
		return fmt.Errorf("%s is of a kind that cannot be copied: %q", header.Name, header.Typeflag)
	}
}

// writeDirectory makes a directory. One that is there keeps its owner and mode.
func (u *unpacker) writeDirectory(header *tar.Header, place string) error {
	if info, err := os.Stat(place); err == nil && info.IsDir() {
		return nil
	}
	if err := makeDirectories(place, u.owner); err != nil {
		return err
	}
	u.directories, u.places = append(u.directories, header), append(u.places, place)
	return nil
}

// finishDirectories sets what writing into directories would change or forbid.
func (u *unpacker) finishDirectories() error {
	for i := len(u.places) - 1; i >= 0; i-- {
		mode := u.directories[i].FileInfo().Mode()
		if u.mode != nil {
			mode = *u.mode | (*u.mode&0o444)>>2 // who may read it may enter it
			if err := dropAccessList(u.places[i]); err != nil {
				return err
			}
		}
		if err := os.Chmod(u.places[i], onlyMode(mode)); err != nil {
			return describe(err)
		}
		_ = os.Chtimes(u.places[i], u.directories[i].ModTime, u.directories[i].ModTime)
	}
	return nil
}

func (u *unpacker) writeNode(header *tar.Header, place string) error {
	kinds := map[byte]uint32{tar.TypeFifo: unix.S_IFIFO, tar.TypeChar: unix.S_IFCHR, tar.TypeBlock: unix.S_IFBLK}
	device := unix.Mkdev(uint32(header.Devmajor), uint32(header.Devminor))
	return u.replaceWith(place, func() error {
		return unix.Mknod(place, kinds[header.Typeflag]|uint32(header.Mode)&0o7777, int(device))
	})
}

// target is where files go.
type target struct {
	destination string
	owner       owner
	mode        *os.FileMode // nil for the files' own
}

func newTarget(destination, ownerText, modeText string) (*target, error) {
	who, err := findOwner(ownerText)
	if err != nil {
		return nil, err
	}
	t := &target{destination: destination, owner: who}
	if modeText != "" {
		bits, err := strconv.ParseUint(modeText, 8, 32)
		if err != nil {
			return nil, fmt.Errorf("mode %q is not octal", modeText)
		}
		mode := modeOf(uint32(bits))
		t.mode = &mode
	}
	return t, nil
}

// modeOf is the mode of its bits in Unix.
func modeOf(bits uint32) os.FileMode {
	mode := os.FileMode(bits & 0o777)
	for bit, flag := range map[uint32]os.FileMode{unix.S_ISUID: os.ModeSetuid, unix.S_ISGID: os.ModeSetgid, unix.S_ISVTX: os.ModeSticky} {
		if bits&bit != 0 {
			mode |= flag
		}
	}
	return mode
}

func onlyMode(mode os.FileMode) os.FileMode {
	return mode & (os.ModePerm | os.ModeSetuid | os.ModeSetgid | os.ModeSticky)
}

// isDirectory reports whether files go into the destination.
func (t *target) isDirectory() bool {
	if strings.HasSuffix(t.destination, "/") {
		return true
	}
	info, err := os.Stat(t.destination)
	return err == nil && info.IsDir()
}

// fileName is where one file goes.
func (t *target) fileName(base string) string {
	if t.isDirectory() {
		return filepath.Join(t.destination, base)
	}
	return t.destination
}

// writeFile writes a file in place of what is there. A nil header has no times and
// attributes.
func (t *target) writeFile(place string, content io.Reader, mode os.FileMode, header *tar.Header) error {
	if header != nil {
		if err := requireRoom(header.Size); err != nil {
			return fmt.Errorf("%s: %w", place, err)
		}
	}
	err := t.replaceWith(place, func() error {
		file, err := os.OpenFile(place, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(file, content)
		return errors.Join(err, file.Close())
	})
	if err != nil {
		return err
	}
	if t.mode != nil {
		mode = *t.mode
		if err := dropAccessList(place); err != nil {
			return err
		}
	}
	if err := os.Chmod(place, onlyMode(mode)); err != nil { // after the change of owner, which clears setuid
		return describe(err)
	}
	if header == nil {
		return nil
	}
	if err := setAttributes(place, header); err != nil {
		return err
	}
	return describe(os.Chtimes(place, header.ModTime, header.ModTime))
}

// dropAccessList removes the access control list that a file or directory has from its
// directory: a mode that a step names is all that there is to its permissions. What a
// directory hands on to new files stays.
func dropAccessList(place string) error {
	err := unix.Lremovexattr(place, "system.posix_acl_access")
	if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: remove its access control list: %w", place, err)
	}
	return nil
}

// requireRoom refuses a file that is larger than the whole file system, before a day is
// spent with its zeros.
func requireRoom(bytes int64) error {
	var root unix.Statfs_t
	if err := unix.Statfs("/", &root); err != nil {
		return err
	}
	if bytes > int64(root.Blocks)*root.Bsize {
		return syscall.ENOSPC
	}
	return nil
}

// attributePrefix is how tar archives name extended attributes. Source: pax(1) of GNU tar.
const attributePrefix = "SCHILY.xattr."

// setAttributes sets capabilities, the only extended attribute that files need to work.
func setAttributes(place string, header *tar.Header) error {
	const capability = "security.capability"
	value, has := header.PAXRecords[attributePrefix+capability]
	if !has {
		return nil
	}
	if err := unix.Lsetxattr(place, capability, []byte(value), 0); err != nil {
		return fmt.Errorf("%s: set capabilities: %w", place, err)
	}
	return nil
}

// replaceWith removes what is at a place, which may be a link, makes another and gives it
// to the owner.
func (t *target) replaceWith(place string, create func() error) error {
	if err := makeDirectories(filepath.Dir(place), t.owner); err != nil {
		return err
	}
	info, err := os.Lstat(place)
	if err == nil && info.IsDir() {
		return fmt.Errorf("%s is a directory and cannot be replaced by a file", place)
	}
	if err == nil {
		err = os.Remove(place)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return describe(err)
	}
	if err := create(); err != nil {
		return fmt.Errorf("%s: %w", place, rootCause(err))
	}
	return describe(os.Lchown(place, t.owner.uid, t.owner.gid))
}

// rootCause is an error without the paths that its message repeats.
func rootCause(err error) error {
	var failed *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &failed):
		return failed.Err
	case errors.As(err, &link):
		return link.Err
	default:
		return err
	}
}
