package boot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// place is a directory or an empty file of a machine that runs.
type place struct {
	path  string
	mode  os.FileMode
	file  bool
	group string // of /etc/group; empty, or one that the image has not, is root's
	// below: made only where the directory above exists.
	below bool
	// keep: one that exists keeps its mode.
	keep bool
}

const sticky = 0o777 | os.ModeSticky

// places are what systemd's own tmpfiles.d has for all machines.
var places = []place{
	{path: "/run/lock", mode: sticky},
	{path: "/run/user", mode: 0o755},
	{path: "/run/user/0", mode: 0o700},
	{path: "/run/wrenn", mode: 0o700},
	{path: "/run/utmp", mode: 0o664, file: true, group: "utmp"},
	{path: "/var/log/wtmp", mode: 0o664, file: true, group: "utmp", below: true},
	{path: "/var/log/btmp", mode: 0o660, file: true, group: "utmp", below: true},
	{path: "/var/log/lastlog", mode: 0o664, file: true, group: "utmp", below: true},
	{path: "/etc", mode: 0o755, keep: true},
	{path: "/root", mode: 0o700, keep: true},
	{path: "/tmp", mode: sticky},
	{path: "/var/tmp", mode: sticky},
	{path: "/tmp/.X11-unix", mode: sticky},
	{path: "/tmp/.ICE-unix", mode: sticky},
	{path: "/tmp/.XIM-unix", mode: sticky},
	{path: "/tmp/.font-unix", mode: sticky},
}

// makePlaces makes the places below root that do not exist, and the user's directory of
// run-time files. What exists keeps its content; it gets the mode, unless it is a link,
// which could lead to any file.
func makePlaces(root string) error {
	var failures []error
	for _, p := range places {
		failures = append(failures, p.make(root))
	}
	return errors.Join(append(failures, makeRuntimeDirectory(root))...)
}

func (p place) make(root string) error {
	path := filepath.Join(root, p.path)
	if p.below {
		if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
			return nil //nolint:nilerr // the image does without
		}
	}
	if _, err := os.Stat(path); err == nil && p.keep {
		return nil
	}
	if err := p.create(path); err != nil {
		return fmt.Errorf("make %s: %w", p.path, err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() == os.ModeSymlink {
		return err
	}
	if info.Mode()&(os.ModePerm|os.ModeSticky) == p.mode {
		return nil // a change would be written to the disk
	}
	return os.Chmod(path, p.mode)
}

func (p place) create(path string) error {
	if !p.file {
		return makeDirectory(path)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, p.mode)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	group, _ := idOf(filepath.Join("/", "etc/group"), p.group) // root's, if the image has none
	return errors.Join(file.Chown(0, group), file.Close())
}

// defaultUser is the user of commands whose callers name none.
const defaultUser = "user"

// makeRuntimeDirectory makes XDG_RUNTIME_DIR of the user, if the image has it.
func makeRuntimeDirectory(root string) error {
	const onlyOwner = 0o700
	uid, found := idOf(filepath.Join(root, "etc/passwd"), defaultUser)
	if !found || uid == 0 {
		return nil
	}
	path := filepath.Join(root, "run/user", strconv.Itoa(uid))
	if err := os.Mkdir(path, onlyOwner); err != nil {
		return fmt.Errorf("make the user's directory: %w", err)
	}
	return os.Chown(path, uid, uid)
}

// maxAccountBytes bounds passwd and group, which the image brings.
const maxAccountBytes = 8 << 20

// idOf reads the third field of an entry of passwd or group.
func idOf(path, name string) (id int, found bool) {
	const idField = 2
	content, err := readBounded(path, maxAccountBytes)
	if err != nil || name == "" {
		return 0, false
	}
	for line := range strings.Lines(string(content)) {
		fields := strings.Split(line, ":")
		if fields[0] != name || len(fields) <= idField {
			continue
		}
		id, err := strconv.ParseUint(fields[idField], 10, 31)
		return int(id), err == nil
	}
	return 0, false
}
