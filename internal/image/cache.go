package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// cache is a directory of files that can be made again. Those that were not used for
// longest go when there are too many bytes.
type cache struct {
	directory string
	most      int64 // bytes on disk

	mu sync.Mutex
	// files are those that are held or made, by name.
	files map[string]*cachedFile
}

// cachedFile is a file in use.
type cachedFile struct {
	holders int
	// turn holds one value. A caller takes it before it makes or looks for the file.
	turn chan struct{}
}

// held is a file that stays until it is released.
type held struct {
	path    string
	release func()
}

func releaseAll(all []held) {
	for _, one := range all {
		if one.release != nil {
			one.release()
		}
	}
}

// unfinishedPrefix begins the names of files that are being made.
const unfinishedPrefix = ".new-"

func openCache(directory string, most int64) (*cache, error) {
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(directory)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), unfinishedPrefix) {
			if err := os.Remove(filepath.Join(directory, entry.Name())); err != nil {
				return nil, err
			}
		}
	}
	c := &cache{directory: directory, most: most, files: make(map[string]*cachedFile)}
	return c, c.trim()
}

// hold returns a file by its name, and calls fill for one that is missing: with a path
// where nothing is. What fill makes must be durable. Only one caller makes a file at a time.
func (c *cache) hold(ctx context.Context, name string, fill func(path string) error) (held, error) {
	file := c.reserve(name)
	path := filepath.Join(c.directory, name)
	select {
	case file.turn <- struct{}{}:
	case <-ctx.Done():
		c.release(name)
		return held{}, ctx.Err()
	}
	err := c.ensure(path, name, fill)
	<-file.turn
	if err != nil {
		c.release(name)
		return held{}, err
	}
	var once sync.Once
	return held{path: path, release: func() { once.Do(func() { c.release(name) }) }}, nil
}

func (c *cache) reserve(name string) *cachedFile {
	c.mu.Lock()
	defer c.mu.Unlock()
	file := c.files[name]
	if file == nil {
		file = &cachedFile{turn: make(chan struct{}, 1)}
		c.files[name] = file
	}
	file.holders++
	return file
}

func (c *cache) release(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	file := c.files[name]
	if file.holders--; file.holders == 0 {
		delete(c.files, name)
	}
}

// ensure makes a file that is missing, and sets the time of use.
func (c *cache) ensure(path, name string, fill func(path string) error) error {
	now := time.Now()
	err := os.Chtimes(path, now, now)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return err
	}
	unfinished := filepath.Join(c.directory, unfinishedPrefix+name)
	if err := fill(unfinished); err != nil {
		return errors.Join(err, removeExisting(unfinished))
	}
	if err := os.Rename(unfinished, path); err != nil {
		return errors.Join(err, removeExisting(unfinished))
	}
	return c.trim()
}

func removeExisting(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// remove removes a file, also one that is held: its holders who have it open keep it.
func (c *cache) remove(name string) error { return removeExisting(filepath.Join(c.directory, name)) }

// trim removes files until there are few enough bytes.
func (c *cache) trim() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	entries, err := os.ReadDir(c.directory)
	if err != nil {
		return err
	}
	type candidate struct {
		name  string
		bytes int64
		used  time.Time
	}
	var candidates []candidate
	var total int64
	for _, entry := range entries {
		info, err := entry.Info()
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		bytes := allocated(info)
		total += bytes
		if c.files[entry.Name()] == nil && !strings.HasPrefix(entry.Name(), unfinishedPrefix) {
			candidates = append(candidates, candidate{entry.Name(), bytes, info.ModTime()})
		}
	}
	slices.SortFunc(candidates, func(a, b candidate) int { return a.used.Compare(b.used) })
	for _, one := range candidates {
		if total <= c.most {
			return nil
		}
		if err := os.Remove(filepath.Join(c.directory, one.name)); err != nil {
			return fmt.Errorf("remove what was not used: %w", err)
		}
		total -= one.bytes
	}
	return nil
}

// allocated is what a file takes on disk, in bytes.
func allocated(info os.FileInfo) int64 {
	const sector = 512
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Blocks * sector
	}
	return info.Size()
}
