// Package catalog is what sandboxes of a host can be created from: builds of templates,
// and snapshots of sandboxes.
package catalog

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

// ErrNotFound is returned for a build that is not on this host.
var ErrNotFound = errors.New("template build not found on this host")

// Catalog finds snapshots by their build IDs.
type Catalog struct {
	directory string
	log       *slog.Logger

	mutex     sync.Mutex
	templates map[string]*snapshot.Snapshot
	snapshots map[string]*snapshot.Snapshot // of sandboxes
}

// New makes an empty Catalog. directory is where snapshots of sandboxes are kept.
func New(directory string, log *slog.Logger) *Catalog {
	return &Catalog{
		directory: directory, log: log,
		templates: make(map[string]*snapshot.Snapshot), snapshots: make(map[string]*snapshot.Snapshot),
	}
}

// transientPrefix starts the names of snapshots that exist only while forks are made.
const transientPrefix = "fork-"

// Open finds the snapshots of sandboxes, and removes those that were never finished or
// only meant for forks.
func (c *Catalog) Open() error {
	if err := os.MkdirAll(c.directory, 0o700); err != nil {
		return fmt.Errorf("make snapshot directory: %w", err)
	}
	entries, err := os.ReadDir(c.directory)
	if err != nil {
		return fmt.Errorf("read snapshot directory: %w", err)
	}
	var failures []error
	for _, entry := range entries {
		path := filepath.Join(c.directory, entry.Name())
		unfinished := strings.HasPrefix(entry.Name(), transientPrefix) || snapshot.IsUnfinished(entry.Name())
		taken, err := snapshot.OpenOfSandbox(path)
		switch {
		case unfinished, errors.Is(err, os.ErrNotExist):
			failures = append(failures, os.RemoveAll(path))
		case err != nil:
			c.log.Error("snapshot cannot be read", "name", entry.Name(), "error", err)
		default:
			c.Add(taken)
		}
	}
	return errors.Join(failures...)
}

// Offer adds a template's build.
func (c *Catalog) Offer(template *snapshot.Snapshot) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.templates[template.BuildID] = template
}

// Templates lists the builds of templates, by build ID.
func (c *Catalog) Templates() []*snapshot.Snapshot {
	c.mutex.Lock()
	all := slices.Collect(maps.Values(c.templates))
	c.mutex.Unlock()
	slices.SortFunc(all, func(a, b *snapshot.Snapshot) int { return strings.Compare(a.BuildID, b.BuildID) })
	return all
}

// All lists every snapshot.
func (c *Catalog) All() []*snapshot.Snapshot {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return slices.AppendSeq(slices.Collect(maps.Values(c.templates)), maps.Values(c.snapshots))
}

// IsTemplate reports whether a snapshot is a template's, and still there: a sandbox's
// snapshot can have the build ID of the template that it descends from.
func (c *Catalog) IsTemplate(base *snapshot.Snapshot) bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.templates[base.BuildID] == base || base.FinishKey != "" && c.snapshots[base.BuildID] == base
}

// Find finds a template's build or a sandbox's snapshot.
func (c *Catalog) Find(buildID string) (*snapshot.Snapshot, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if template, ok := c.templates[buildID]; ok {
		return template, nil
	}
	if taken, ok := c.snapshots[buildID]; ok {
		return taken, nil
	}
	return nil, fmt.Errorf("%s: %w", buildID, ErrNotFound)
}

// FindFinished finds a finished build by the key of what it was made of.
func (c *Catalog) FindFinished(key string) (*snapshot.Snapshot, bool) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for _, made := range c.snapshots {
		if made.FinishKey == key {
			return made, true
		}
	}
	return nil, false
}

// Path is the directory of a sandbox's snapshot.
func (c *Catalog) Path(buildID string) string { return filepath.Join(c.directory, buildID) }

// TransientPath is a directory for a snapshot that exists only while forks are made.
func (c *Catalog) TransientPath() string {
	return filepath.Join(c.directory, transientPrefix+rand.Text())
}

// Add adds a snapshot of a sandbox.
func (c *Catalog) Add(taken *snapshot.Snapshot) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.snapshots[taken.BuildID] = taken
}

// Delete deletes a snapshot of a sandbox. What was created from it runs on.
func (c *Catalog) Delete(buildID string) error {
	c.mutex.Lock()
	taken, ok := c.snapshots[buildID]
	delete(c.snapshots, buildID)
	c.mutex.Unlock()
	if !ok {
		return fmt.Errorf("snapshot %s: %w", buildID, ErrNotFound)
	}
	return taken.Remove()
}
