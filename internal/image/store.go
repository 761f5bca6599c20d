package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/image/rootfs"
)

// StoreConfig is where a store keeps what it pulls and makes, and what it may reach.
type StoreConfig struct {
	// BlobDir is for layers as they are in registries, DiskDir for disks made of them. Each
	// belongs to this store alone. Disks are cloned where DiskDir is on a file system with
	// reflinks and on that of their targets, else copied.
	BlobDir, DiskDir string
	// BlobBytes and DiskBytes are how much they may hold, in bytes on disk; what was not
	// used for longest goes. What is in use stays, also when it is more.
	BlobBytes, DiskBytes int64
	// ReserveBytes are kept free on the disks of both: what would use them fails with
	// NoSpace.
	ReserveBytes int64
	Registries   Registries
	// ImageBytes is how large an image may be, packed; 0 is DefaultImageBytes.
	ImageBytes int64
	// Limits bound what images may hold; the zero value is rootfs.DefaultLimits.
	Limits rootfs.Limits
	// User is the ID of a user and a group that nothing else on the machine has; 0 is
	// rootfs.DefaultUser. Processes that read layers run as it.
	User int
	Log  *slog.Logger
}

// DefaultImageBytes is the usual bound of an image, packed.
const DefaultImageBytes = 32 << 30

// Store pulls images and makes disks of them. It is safe for concurrent use.
type Store struct {
	config       StoreConfig
	transport    *registryTransport
	blobs, disks *cache
}

// Open returns a store. What an earlier one left unfinished is removed.
func Open(config StoreConfig) (*Store, error) {
	config.ImageBytes = cmp.Or(config.ImageBytes, DefaultImageBytes)
	config.User = cmp.Or(config.User, rootfs.DefaultUser)
	config.Limits = cmp.Or(config.Limits, rootfs.DefaultLimits)
	if config.Log == nil {
		config.Log = slog.Default()
	}
	transport, err := newTransport(config.Registries)
	if err != nil {
		return nil, err
	}
	blobs, err := openCache(config.BlobDir, config.BlobBytes)
	if err != nil {
		return nil, fmt.Errorf("open the layers of images: %w", err)
	}
	disks, err := openCache(config.DiskDir, config.DiskBytes)
	if err != nil {
		return nil, fmt.Errorf("open the disks of images: %w", err)
	}
	return &Store{config: config, transport: transport, blobs: blobs, disks: disks}, nil
}

// Progress is how far WriteDisk is.
type Progress struct {
	// Stage is Pulling or Unpacking.
	Stage Stage
	// Layer counts from 1 to Layers. Several layers are pulled at a time.
	Layer, Layers int
	// Bytes of the layer, packed, are there, of TotalBytes.
	Bytes, TotalBytes int64
}

// Stage is a part of making a disk.
type Stage string

// The stages, in their order.
const (
	Pulling   Stage = "pulling"
	Unpacking Stage = "unpacking"
)

// DiskOptions are what disk to make.
type DiskOptions struct {
	// Format is rootfs.Ext4 if it is empty.
	Format rootfs.Format
	// MiB is the disk's size, at least rootfs.MinimumDiskMiB.
	MiB int
	// Progress is called now and then, by one goroutine at a time, and at the end of each
	// layer; nil for not at all. A disk that is cached makes no progress.
	Progress func(Progress)
}

// WriteDisk makes target, which must not exist, a disk with the image's file system, never
// mounted. It pulls the layers that are missing. After an
// error there is no target. It returns an *Error where the image's owner can do something.
func (s *Store) WriteDisk(ctx context.Context, image *Image, target string, options DiskOptions) error {
	name := fmt.Sprintf("%s-%s-v%d%s", fileName(image.Digest), options, rootfs.FormatVersion, image.scope())
	return s.writeCached(ctx, name, target, func(path string) error {
		return s.makeDisk(ctx, image, path, options)
	})
}

// String tells disks of one image apart, in names of files.
func (o DiskOptions) String() string {
	if format := cmp.Or(o.Format, rootfs.Ext4); format != rootfs.Ext4 {
		return fmt.Sprintf("%d-%s", o.MiB, format)
	}
	return fmt.Sprint(o.MiB)
}

// WriteEmptyDisk makes target a disk with an empty file system.
func (s *Store) WriteEmptyDisk(ctx context.Context, target string, options DiskOptions) error {
	name := fmt.Sprintf("empty-%s-v%d", options, rootfs.FormatVersion)
	return s.writeCached(ctx, name, target, func(path string) error {
		err := rootfs.Write(ctx, path, rootfs.Options{
			Format: options.Format, DiskMiB: options.MiB, UUID: fileSystemID("empty"), Limits: s.config.Limits, User: s.config.User,
		})
		return explainHost(err)
	})
}

// writeCached clones a disk of the cache, which fill makes if it is missing.
func (s *Store) writeCached(ctx context.Context, name, target string, fill func(path string) error) error {
	held, err := s.disks.hold(ctx, name, fill)
	if err != nil {
		return err
	}
	defer held.release()
	if err := disk.CloneOrCopy(held.path, target); err != nil {
		return explainHost(fmt.Errorf("copy the disk of an image: %w", err))
	}
	return nil
}

// makeDisk pulls an image's layers and makes a disk of them. Layers that were in the cache
// and turn out to be damaged there are pulled once more.
func (s *Store) makeDisk(ctx context.Context, image *Image, path string, options DiskOptions) error {
	err := s.tryDisk(ctx, image, path, options)
	var broken *rootfs.InvalidError
	if errors.As(err, &broken) && s.removeDamaged(image) > 0 {
		s.config.Log.WarnContext(ctx, "layers of an image were damaged on disk and are pulled again", "digest", image.Digest)
		err = s.tryDisk(ctx, image, path, options)
	}
	if err != nil {
		return explainDisk(err, image.Name, options.MiB)
	}
	return nil
}

func (s *Store) tryDisk(ctx context.Context, image *Image, path string, options DiskOptions) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	held, err := s.pull(ctx, image, options.Progress)
	defer releaseAll(held)
	if err != nil {
		return err
	}
	var layers []rootfs.Layer
	for i, blob := range held {
		file, err := os.Open(blob.path)
		if err != nil {
			return fmt.Errorf("open a layer: %w", err)
		}
		defer file.Close()
		layers = append(layers, rootfs.Layer{File: file, DiffID: image.Layers[i].DiffID})
	}
	err = rootfs.Write(ctx, path, rootfs.Options{
		Format: options.Format, Layers: layers, DiskMiB: options.MiB, UUID: fileSystemID(image.Digest), Limits: s.config.Limits, User: s.config.User,
		Progress: func(p rootfs.Progress) {
			if err := s.requireRoom(s.config.DiskDir, 0); err != nil {
				cancel(err)
			}
			if options.Progress != nil {
				options.Progress(Progress{Stage: Unpacking, Layer: p.Layer, Layers: p.Layers, Bytes: p.Bytes, TotalBytes: p.TotalBytes})
			}
		},
	})
	if cause := context.Cause(ctx); cause != nil && err != nil {
		return cause
	}
	return err
}

// requireRoom fails where so many more bytes would use what is to be kept free.
func (s *Store) requireRoom(directory string, more int64) error {
	var found unix.Statfs_t
	if err := unix.Statfs(directory, &found); err != nil {
		return fmt.Errorf("look for room on disk: %w", err)
	}
	if free := int64(found.Bavail) * found.Bsize; free-more < s.config.ReserveBytes {
		return explainHost(fmt.Errorf("%w: %d bytes are free, %d are to be kept so, and %d are needed", rootfs.ErrHostFull, free, s.config.ReserveBytes, more))
	}
	return nil
}
