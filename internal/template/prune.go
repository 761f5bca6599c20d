package template

import (
	"errors"
	"os"
	"path/filepath"
	"time"
)

// keepUnused is how long an unused image stays in the cache.
const keepUnused = 14 * 24 * time.Hour

// markUsed sets the time of use of directories. If that fails, an image may be removed and
// built again.
func markUsed(directories ...string) {
	now := time.Now()
	for _, directory := range directories {
		_ = os.Chtimes(directory, now, now)
	}
}

// prune removes images and systems that were not used for long, and interrupted builds.
// The caller holds the cache's lock.
func prune(cacheDir string, now time.Time) error {
	var failures []error
	for _, kind := range []string{imagesDirectory, systemsDirectory} {
		entries, err := os.ReadDir(filepath.Join(cacheDir, kind))
		if err != nil {
			return err
		}
		for _, entry := range entries {
			info, err := entry.Info()
			if err != nil {
				return err
			}
			unfinished := filepath.Ext(entry.Name()) == unfinishedSuffix
			if unfinished || now.Sub(info.ModTime()) > keepUnused {
				failures = append(failures, os.RemoveAll(filepath.Join(cacheDir, kind, entry.Name())))
			}
		}
	}
	return errors.Join(failures...)
}
