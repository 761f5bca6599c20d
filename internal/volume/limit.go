package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/volume/quota"
)

// SetLimit sets how many bytes a volume may hold; zero is no limit. Content beyond the
// limit stays.
func (s *Store) SetLimit(id string, maxBytes int64) error {
	opened, err := s.Quota(id)
	if err != nil {
		return err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	path := filepath.Join(s.directory, id, limitFile)
	before, err := readLimit(path)
	if err != nil || before == maxBytes {
		return err
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, strconv.AppendInt(nil, maxBytes, 10), 0o600); err != nil {
		return fmt.Errorf("limit volume %s: %w", id, err)
	}
	if err := disk.SyncFile(temporary); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("limit volume %s: %w", id, err)
	}
	opened.SetLimit(maxBytes)
	return disk.SyncFile(filepath.Dir(path))
}

// Quota is the one quota of a volume, for all sandboxes that mount it and for requests
// about its content.
func (s *Store) Quota(id string) (*quota.Quota, error) {
	if err := s.check(id); err != nil {
		return nil, err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if known := s.quotas[id]; known != nil {
		return known, nil
	}
	limit, err := readLimit(filepath.Join(s.directory, id, limitFile))
	if err != nil {
		return nil, fmt.Errorf("read the limit of volume %s: %w", id, err)
	}
	opened := quota.New(filepath.Join(s.directory, id, contentDirectory), limit)
	s.quotas[id] = opened
	return opened, nil
}

func readLimit(path string) (int64, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(content)), 10, 64)
}
