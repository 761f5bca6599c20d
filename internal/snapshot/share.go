package snapshot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
)

// Share makes another snapshot of the same machine, under another build ID, in directory,
// which must not exist. Both have the same files, so that guests of both share the page
// cache; either can be removed. It is durable on return.
func (s *Snapshot) Share(buildID, directory string) (_ *Snapshot, err error) {
	temporary := directory + unfinishedSuffix
	if err := os.RemoveAll(temporary); err != nil {
		return nil, fmt.Errorf("remove unfinished snapshot: %w", err)
	}
	if err := os.MkdirAll(temporary, 0o700); err != nil {
		return nil, fmt.Errorf("make snapshot directory: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(temporary))
		}
	}()
	for _, name := range s.files() {
		if name == manifestFile {
			continue
		}
		if err := os.Link(filepath.Join(s.Dir, name), filepath.Join(temporary, name)); err != nil {
			return nil, fmt.Errorf("share snapshot: %w", err)
		}
	}
	shared := &Snapshot{Manifest: s.Manifest, Dir: directory}
	shared.BuildID, shared.CreatedAt = buildID, time.Now().UTC()
	if err := writeManifest(temporary, shared.Manifest); err != nil {
		return nil, err
	}
	for _, name := range []string{manifestFile, "."} {
		if err := disk.SyncFile(filepath.Join(temporary, name)); err != nil {
			return nil, err
		}
	}
	if err := os.Rename(temporary, directory); err != nil {
		return nil, fmt.Errorf("publish snapshot: %w", err)
	}
	if err := disk.SyncFile(filepath.Dir(directory)); err != nil {
		return nil, errors.Join(fmt.Errorf("publish snapshot: %w", err), shared.Remove())
	}
	return shared, nil
}
