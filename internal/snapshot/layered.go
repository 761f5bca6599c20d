package snapshot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// errNoLayers is returned for a machine whose driver has no layers.
var errNoLayers = errors.New("the machine cannot save its layer")

// writeLayer shares the images, which are never written to, and saves the machine's layer,
// or that which a machine was started with that has ended.
func (s *Snapshot) writeLayer(ctx context.Context, source Source) error {
	for from, to := range map[string]string{source.DiskPath: s.DiskPath(), source.DirectoryPath: s.DirectoryPath()} {
		if err := os.Link(from, to); err != nil {
			return fmt.Errorf("share image: %w", err)
		}
	}
	if source.Machine == nil {
		if err := os.Link(source.LayerPath, s.LayerPath()); err != nil {
			return fmt.Errorf("keep layer: %w", err)
		}
		return nil
	}
	saver, can := source.Machine.(vmm.LayerSaver)
	if !can {
		return errNoLayers
	}
	return saver.SaveLayer(ctx, s.LayerPath())
}

// measure notes the sizes of the files.
func (s *Snapshot) measure() error {
	s.FileBytes = make(map[string]int64)
	for _, name := range s.files() {
		if name == manifestFile {
			continue
		}
		info, err := os.Stat(filepath.Join(s.Dir, name))
		if err != nil {
			return fmt.Errorf("measure snapshot: %w", err)
		}
		s.FileBytes[name] = info.Size()
	}
	return nil
}
