// Package archives keeps the archives that clients upload for COPY steps. The host never
// looks into them: they are untrusted, and are unpacked inside a guest only.
package archives

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/build/plan"
	"git.omukk.dev/wrenn/sandbox/internal/disk"
)

// Errors of uploads.
var (
	ErrNotFound = errors.New("the files were not uploaded to this host")
	ErrInvalid  = errors.New("invalid upload")
	ErrTooLarge = errors.New("the upload is larger than this host takes")
)

// Store is a directory of uploads, each in its team's directory.
type Store struct {
	directory string
	maxBytes  int64 // of all uploads together
	log       *slog.Logger

	mutex sync.Mutex
	inUse map[string]int // paths that are being read
}

// unfinishedPrefix starts the names of uploads that have not ended.
const unfinishedPrefix = ".unfinished-"

// Open opens a store in a directory, which holds at most maxBytes, and removes uploads
// that were never finished.
func Open(directory string, maxBytes int64, log *slog.Logger) (*Store, error) {
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return nil, fmt.Errorf("open uploads: %w", err)
	}
	s := &Store{directory: directory, maxBytes: maxBytes, log: log, inUse: make(map[string]int)}
	left, err := filepath.Glob(filepath.Join(directory, "*", unfinishedPrefix+"*"))
	if err != nil {
		return nil, err
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("remove an unfinished upload: %w", err)
		}
	}
	return s, nil
}

// teamName is what a team's ID may look like, since it names a directory.
var teamName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

func (s *Store) path(teamID, hash string) (string, error) {
	if !teamName.MatchString(teamID) {
		return "", fmt.Errorf("%w: team %q", ErrInvalid, teamID)
	}
	if !plan.IsFilesHash(hash) {
		return "", fmt.Errorf("%w: the hash %q does not have 64 hex digits", ErrInvalid, hash)
	}
	return filepath.Join(s.directory, teamID, hash), nil
}

// Find returns the size of an upload in bytes, or ErrNotFound.
func (s *Store) Find(teamID, hash string) (int64, error) {
	path, err := s.path(teamID, hash)
	if err != nil {
		return 0, err
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, ErrNotFound
	}
	if err != nil {
		return 0, fmt.Errorf("find an upload: %w", err)
	}
	// A client that has asked is about to build with it.
	now := time.Now()
	if err := os.Chtimes(path, now, now); err != nil {
		s.log.Warn("note the use of an upload", "error", err)
	}
	return info.Size(), nil
}

// Open opens an upload for reading. It is not removed before it is closed.
func (s *Store) Open(teamID, hash string) (io.ReadCloser, error) {
	path, err := s.path(teamID, hash)
	if err != nil {
		return nil, err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("open an upload: %w", err)
	}
	s.inUse[path]++
	return &reader{File: file, store: s, path: path}, nil
}

type reader struct {
	*os.File
	store *Store
	path  string
	once  sync.Once
}

func (r *reader) Close() error {
	r.once.Do(func() {
		r.store.mutex.Lock()
		defer r.store.mutex.Unlock()
		if r.store.inUse[r.path]--; r.store.inUse[r.path] == 0 {
			delete(r.store.inUse, r.path)
		}
	})
	return r.File.Close()
}

// Put stores an upload of exactly that many bytes. It is durable on return, and replaces an
// earlier one of the same hash.
func (s *Store) Put(teamID, hash string, sizeBytes int64, content io.Reader) (err error) {
	path, err := s.path(teamID, hash)
	if err != nil {
		return err
	}
	if sizeBytes < 0 || sizeBytes > s.maxBytes {
		return fmt.Errorf("%w: %d bytes, of at most %d", ErrTooLarge, sizeBytes, s.maxBytes)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("store an upload: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(path), unfinishedPrefix)
	if err != nil {
		return fmt.Errorf("store an upload: %w", err)
	}
	defer func() {
		err = errors.Join(err, file.Close())
		if err != nil {
			err = errors.Join(err, disk.RemoveIfThere(file.Name()))
		}
	}()
	if err := receive(file, sizeBytes, content); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("store an upload: %w", err)
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return fmt.Errorf("store an upload: %w", err)
	}
	if err := disk.SyncFile(filepath.Dir(path)); err != nil {
		return err
	}
	s.evict(path)
	return nil
}

func receive(file *os.File, sizeBytes int64, content io.Reader) error {
	written, err := io.Copy(file, io.LimitReader(content, sizeBytes+1))
	if err != nil {
		return fmt.Errorf("store an upload: %w", err)
	}
	if written != sizeBytes {
		return fmt.Errorf("%w: it has not the %d bytes that were announced", ErrInvalid, sizeBytes)
	}
	return nil
}

// evict removes the uploads that were not used for the longest time until the others fit.
// It never removes kept, nor what is being read.
func (s *Store) evict(kept string) {
	all, total, err := s.list()
	if err != nil {
		s.log.Error("look for uploads to remove", "error", err)
		return
	}
	slices.SortFunc(all, func(a, b stored) int { return a.used.Compare(b.used) })
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, one := range all {
		if total <= s.maxBytes {
			return
		}
		if one.path == kept || s.inUse[one.path] > 0 {
			continue
		}
		if err := os.Remove(one.path); err != nil {
			s.log.Error("remove an upload", "error", err)
			continue
		}
		total -= one.bytes
	}
}

type stored struct {
	path  string
	bytes int64
	used  time.Time
}

func (s *Store) list() (all []stored, total int64, err error) {
	err = filepath.WalkDir(s.directory, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(entry.Name(), unfinishedPrefix) {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		all = append(all, stored{path, info.Size(), info.ModTime()})
		total += info.Size()
		return nil
	})
	return all, total, err
}
