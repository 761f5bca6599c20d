package template

import (
	"errors"
	"os"
	"path/filepath"
	"time"
)

// keepUnused is how long an image that nobody starts from stays in the cache.
const keepUnused = 14 * 24 * time.Hour

// markUsed dates what a start has used. An image that cannot be dated is only
// built again some day.
func markUsed(directories ...string) {
	now := time.Now()
	for _, directory := range directories {
		_ = os.Chtimes(directory, now, now)
	}
}

// prune removes images and systems that were not used for long, and what
// builds that were interrupted have left. Whoever calls it holds the lock.
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
