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

// Group is one control group. A nil Group stands for one that cannot be made on
// this machine: it bounds and counts nothing.
type Group struct {
	path      string
	directory *os.File
}

const (
	removeTimeout = 10 * time.Second
	retryEvery    = 2 * time.Millisecond
)

// Create makes a group with limits, in place of one of that name that was left
// over. It is nil where this machine has none.
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

// Find is the group of that name, made by this program or an earlier one. It is
// nil where there is none.
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

// Directory is the group's directory, opened, for a process to be started into
// the group; nil for a nil group. It is closed by Release and Remove.
func (g *Group) Directory() *os.File {
	if g == nil {
		return nil
	}
	return g.directory
}

// Release lets go of a group that goes on.
func (g *Group) Release() {
	if g != nil {
		g.directory.Close()
	}
}

// Remove ends what runs in the group and removes it.
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
		// Again each time: what is ending may have started more.
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
