package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Group is one control group. A nil Group is used where none can be made: it bounds and
// counts nothing.
type Group struct {
	path      string
	directory *os.File
}

const (
	removeTimeout = 10 * time.Second
	retryEvery    = 2 * time.Millisecond
)

// Create makes a group with limits, and removes a leftover of that name. It returns nil
// where groups cannot be made.
func (r *Root) Create(name string, limits Limits) (*Group, error) {
	if r.path == "" {
		return nil, nil //nolint:nilnil // a nil group is a group
	}
	path := filepath.Join(r.path, name)
	err := os.Mkdir(path, 0o755)
	if errors.Is(err, os.ErrExist) {
		ctx, cancel := context.WithTimeout(context.Background(), removeTimeout)
		defer cancel()
		if err := end(ctx, path); err != nil {
			return nil, err
		}
		err = os.Mkdir(path, 0o755)
	}
	if err != nil {
		return nil, fmt.Errorf("make control group: %w", err)
	}
	if err := limits.set(path, r.controllers); err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	return r.Find(name)
}

// Find returns the group of that name, of this program or an earlier one; nil for none.
func (r *Root) Find(name string) (*Group, error) {
	if r.path == "" || name == "" {
		return nil, nil //nolint:nilnil // a nil group is a group
	}
	directory, err := os.Open(filepath.Join(r.path, name))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil //nolint:nilnil // as above
	}
	if err != nil {
		return nil, fmt.Errorf("open control group: %w", err)
	}
	return &Group{path: directory.Name(), directory: directory}, nil
}

// Name is the group's; a nil group has none.
func (g *Group) Name() string {
	if g == nil {
		return ""
	}
	return filepath.Base(g.path)
}

// Path is the group's directory; a nil group has none.
func (g *Group) Path() string {
	if g == nil {
		return ""
	}
	return g.path
}

// Directory is the group's opened directory, for SysProcAttr.CgroupFD; nil for a nil
// group. Release and Remove close it.
func (g *Group) Directory() *os.File {
	if g == nil {
		return nil
	}
	return g.directory
}

// Release closes the group's directory and leaves the group.
func (g *Group) Release() {
	if g != nil {
		g.directory.Close()
	}
}

// Remove ends the group's processes and removes it.
func (g *Group) Remove(ctx context.Context) error {
	if g == nil {
		return nil
	}
	g.directory.Close()
	return end(ctx, g.path)
}

func end(ctx context.Context, path string) error {
	retry := time.NewTicker(retryEvery)
	defer retry.Stop()
	for {
		err := unix.Rmdir(path)
		if err == nil || errors.Is(err, unix.ENOENT) {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("remove control group %s: %w", path, err)
		}
		// Again each time: processes that are ending may have started others.
		if err := write(path, "cgroup.kill", "1"); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for control group %s to be empty: %w", path, ctx.Err())
		case <-retry.C:
		}
	}
}
