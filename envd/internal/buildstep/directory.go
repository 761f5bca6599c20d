package buildstep

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Workdir makes a directory.
type Workdir struct {
	Path string `json:"path"`
	// Owner is a user's name.
	Owner string `json:"owner"`
}

func (w Workdir) do() (Result, error) {
	if info, err := os.Stat(w.Path); err == nil && info.IsDir() {
		return Result{}, nil
	}
	who, err := findOwner(w.Owner)
	if err != nil {
		return Result{}, err
	}
	return Result{Changed: true}, makeDirectories(w.Path, who)
}

// owner are the numbers that files are given to.
type owner struct{ uid, gid int }

// findOwner reads "user", "user:group" or numbers. A user without a group means the user's
// own; a number that the guest does not know is taken for both.
func findOwner(text string) (owner, error) {
	name, groupName, hasGroup := strings.Cut(text, ":")
	var who owner
	found, err := findAccount(name)
	if err == nil {
		who = owner{found.uid, found.gid}
	} else {
		number, numberErr := strconv.Atoi(name)
		if numberErr != nil {
			return owner{}, err
		}
		who = owner{number, number}
	}
	if !hasGroup {
		return who, nil
	}
	gid, err := findGroup(groupName)
	if err != nil {
		number, numberErr := strconv.Atoi(groupName)
		if numberErr != nil {
			return owner{}, err
		}
		gid = number
	}
	return owner{who.uid, gid}, nil
}

// directoryMode is the mode of directories that steps make.
const directoryMode = 0o755

// makeDirectories makes a directory and its missing parents, and gives those that it makes
// to the owner.
func makeDirectories(path string, who owner) error {
	info, err := os.Stat(path)
	if err == nil {
		if !info.IsDir() {
			return fmt.Errorf("%s: %w", path, syscall.ENOTDIR)
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return describe(err)
	}
	if parent := filepath.Dir(path); parent != path {
		if err := makeDirectories(parent, who); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, directoryMode); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s is a link that leads nowhere", path)
		}
		return describe(err)
	}
	return errors.Join(os.Chmod(path, directoryMode), os.Chown(path, who.uid, who.gid))
}

// ownerOf is who has a file.
func ownerOf(path string) (uid, gid int, ok bool) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, 0, false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return int(stat.Uid), int(stat.Gid), true
}
