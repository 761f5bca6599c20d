package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Storage is the directory of images, on a file system with reflinks.
type Storage struct {
	// Dir is the directory.
	Dir string
	// Loop: Dir is an XFS file that is mounted by loop, because the data directory's own
	// file system cannot clone files.
	Loop bool
}

const (
	storageDirectory = "storage"
	storageImage     = "storage.xfs"
	// minimumImageBytes is the smallest useful loop image: one template and a few
	// sandboxes. XFS itself needs 300 MiB.
	minimumImageBytes = 8 << 30
	// maximumImageBytes bounds the loop image; it is sparse.
	maximumImageBytes = 256 << 30
	// freeShare is how much of the free space the image may grow to.
	freeShare = 0.8
)

// OpenStorage prepares the storage of a data directory. Where the file system clones files
// it is a plain directory; elsewhere an XFS image is made once and mounted.
func OpenStorage(ctx context.Context, dataDir string, progress func(string)) (*Storage, error) {
	s := &Storage{Dir: filepath.Join(dataDir, storageDirectory)}
	if err := os.MkdirAll(s.Dir, 0o711); err != nil {
		return nil, fmt.Errorf("make storage directory: %w", err)
	}
	clones, err := s.canClone()
	if err != nil {
		return nil, err
	}
	image := filepath.Join(dataDir, storageImage)
	if _, err := os.Stat(image); clones && errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	s.Loop = true
	if clones {
		return s, nil // an earlier run has mounted it
	}
	if err := makeImage(ctx, image, progress); err != nil {
		return nil, err
	}
	if err := mountLoop(image, s.Dir); err != nil {
		return nil, err
	}
	return s, nil
}

// canClone is CanClone for a disk that may be too full for even an empty file: a directory
// that is in use was found to clone before.
func (s *Storage) canClone() (bool, error) {
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		return false, fmt.Errorf("read storage directory: %w", err)
	}
	isUsed := false
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), probePrefix) {
			isUsed = true
		} else if err := os.RemoveAll(filepath.Join(s.Dir, entry.Name())); err != nil {
			return false, fmt.Errorf("clear away an unfinished probe: %w", err)
		}
	}
	clones, err := CanClone(s.Dir)
	if isUsed && errors.Is(err, unix.ENOSPC) {
		return true, nil
	}
	return clones, err
}

// Close unmounts the loop image, if there is one.
func (s *Storage) Close() error {
	if !s.Loop {
		return nil
	}
	if err := unix.Unmount(s.Dir, 0); err != nil {
		return fmt.Errorf("unmount %s: %w", s.Dir, err)
	}
	return nil
}

// makeImage formats a sparse XFS image if there is none. An interrupted call leaves none.
func makeImage(ctx context.Context, path string, progress func(string)) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	mkfs, err := exec.LookPath("mkfs.xfs")
	if err != nil {
		return errors.New("mkfs.xfs is not installed; run: apt-get install xfsprogs")
	}
	size, err := imageSize(filepath.Dir(path))
	if err != nil {
		return err
	}
	progress(fmt.Sprintf("the data directory's file system cannot clone files: keeping images in an XFS file of up to %d GiB", size>>30))
	temporary := path + ".new"
	if err := RemoveIfThere(temporary); err != nil {
		return fmt.Errorf("remove unfinished storage image: %w", err)
	}
	if err := CreateSparse(temporary, size); err != nil {
		return err
	}
	output, err := exec.CommandContext(ctx, mkfs, "-q", "-m", "reflink=1", temporary).CombinedOutput()
	if err != nil {
		return errors.Join(fmt.Errorf("format storage image: %w: %s", err, bytes.TrimSpace(output)), os.Remove(temporary))
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("format storage image: %w", err)
	}
	return nil
}

func imageSize(directory string) (int64, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(directory, &stat); err != nil {
		return 0, fmt.Errorf("measure free space of %s: %w", directory, err)
	}
	free := float64(stat.Bavail) * float64(stat.Bsize)
	size := min(int64(free*freeShare), maximumImageBytes)
	if size < minimumImageBytes {
		return 0, fmt.Errorf("%s has %d MiB free; %d MiB are needed: free some space or choose another --data-dir",
			directory, int64(free)>>20, int64(minimumImageBytes/freeShare)>>20)
	}
	return size &^ (1<<20 - 1), nil
}

// Usage is the size of a file system and what is free of it, in bytes.
func Usage(directory string) (total, available uint64, err error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(directory, &stat); err != nil {
		return 0, 0, fmt.Errorf("measure %s: %w", directory, err)
	}
	return stat.Blocks * uint64(stat.Bsize), stat.Bavail * uint64(stat.Bsize), nil
}
