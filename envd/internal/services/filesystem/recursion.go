package filesystem

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	pb "git.omukk.dev/wrenn/sandbox/envd/gen/filesystem"
)

// finding is what a scan reports.
type finding int

const (
	silent  finding = iota
	present         // entries that exist
	made            // entries that were made after their directory
)

// follow watches a new directory, and reports its entries, which may have been made before
// the watch.
func (w *watch) follow(ctx context.Context, parent *directory, name string, tell finding) error {
	d, err := w.attach(parent, name)
	if d == nil || err != nil {
		return err
	}
	return w.scan(ctx, d, tell)
}

// arrive puts a moved directory at its new place, so that its subtree keeps its watches.
// follow then checks that it is there: with several moves at once it may have moved on, or
// another may have its name.
func (w *watch) arrive(cookie uint32, parent *directory, name string) {
	moved, found := w.moving[cookie]
	if !found || parent.isWithin(moved.directory) {
		return
	}
	delete(w.moving, cookie)
	if !moved.directory.isAttached() {
		w.put(moved.directory, parent, name)
	}
}

// attach watches a directory at its place in the tree. It returns nil if there is nothing
// to scan: the directory is watched already, gone or out of reach.
func (w *watch) attach(parent *directory, name string) (*directory, error) {
	path := filepath.Join(w.root, parent.path(name))
	if err := w.refuseNetwork(path); err != nil {
		return nil, err
	}
	number, err := w.kernel.add(path, changeMask|unix.IN_MASK_ADD) // the root may be mounted here
	if err != nil {
		return nil, unlessOutOfReach(err)
	}
	if known := w.tree.byWatch[number]; known != nil {
		// It was moved here, or is mounted twice, possibly below itself.
		if !parent.isWithin(known) && parent.children[name] != known {
			w.put(known, parent, name)
		}
		return nil, nil //nolint:nilnil // documented above
	}
	if len(w.tree.byWatch) >= w.limits.directories {
		return nil, fmt.Errorf("%s: %w", w.shown, errTooManyDirectories)
	}
	d := &directory{watch: number}
	w.put(d, parent, name)
	return d, nil
}

func (w *watch) put(d, parent *directory, name string) {
	if replaced := w.tree.put(d, parent, name); replaced != nil {
		w.forget(replaced)
	}
}

// scan watches the directories below one, and reports entries as tell says.
func (w *watch) scan(ctx context.Context, top *directory, tell finding) error {
	for left := []*directory{top}; len(left) > 0; {
		d := left[len(left)-1]
		left = left[:len(left)-1]
		below, err := w.scanOne(ctx, d, tell)
		if err != nil {
			return err
		}
		left = append(left, below...)
	}
	return nil
}

func (w *watch) scanOne(ctx context.Context, d *directory, tell finding) (below []*directory, err error) {
	opened, err := openDirectory(filepath.Join(w.root, d.path("")))
	if err != nil {
		return nil, unlessOutOfReach(err)
	}
	defer opened.Close()
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		batch, readErr := opened.ReadDir(readAtOnce)
		for _, entry := range batch {
			w.report(d, entry, tell)
			if !entry.IsDir() {
				continue
			}
			child, err := w.attach(d, entry.Name())
			if err != nil {
				return nil, err
			}
			if child != nil {
				below = append(below, child)
			}
		}
		switch {
		case max(len(w.events), len(w.reported)) > w.limits.events, w.bytes > w.limits.bufferedBytes:
			return nil, errOverflow
		case errors.Is(readErr, io.EOF):
			return below, nil
		case readErr != nil:
			return nil, unlessOutOfReach(readErr)
		}
	}
}

// report adds the events of a scanned entry. A new file with content was also written.
func (w *watch) report(d *directory, entry os.DirEntry, tell finding) {
	if tell == silent {
		return
	}
	w.reported[place{d, entry.Name()}] = struct{}{}
	w.tell(d, entry.Name(), pb.EventType_EVENT_TYPE_CREATE)
	if tell != made || !entry.Type().IsRegular() {
		return
	}
	if info, err := entry.Info(); err == nil && info.Size() > 0 {
		w.tell(d, entry.Name(), pb.EventType_EVENT_TYPE_WRITE)
	}
}

// forget ends the watches of a subtree.
func (w *watch) forget(branch *directory) {
	for _, number := range w.tree.forget(branch) {
		w.kernel.remove(number)
	}
}

// forgetDeparted ends the watches of directories that were moved out of the tree.
func (w *watch) forgetDeparted() {
	for cookie, moved := range w.moving {
		arrived := moved.directory.isAttached()
		if !arrived && time.Since(moved.at) < moveGrace {
			continue
		}
		delete(w.moving, cookie)
		if !arrived {
			w.forget(moved.directory)
		}
	}
}

func unlessOutOfReach(err error) error {
	if isOutOfReach(err) {
		return nil
	}
	return err
}
