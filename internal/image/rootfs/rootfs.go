// Package rootfs makes a disk of the layers of an image: ext4 for VMs, EROFS for gVisor.
//
// The layers are hostile. They are read by a process of their own, which has neither a
// user's rights nor a network and writes only to the disk's file. Nothing of an image is
// mounted, and nothing of it runs.
package rootfs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/image/filetree"
	"git.omukk.dev/wrenn/sandbox/internal/image/layers"
)

// FormatVersion is raised when disks of earlier versions must not be used any more.
const FormatVersion = 1

// Layer is a layer in a file.
type Layer struct {
	// File has the layer as the registry does. It is read from its beginning; its offset
	// changes.
	File *os.File
	// Kind is Archive if it is empty.
	Kind LayerKind
	// DiffID is the SHA-256 of an archive, unpacked, in hexadecimal; empty if nobody has
	// named it by that.
	DiffID string
}

// LayerKind is what a layer's file is.
type LayerKind string

const (
	// Archive is a layer of an image, as the registry has it.
	Archive LayerKind = "archive"
	// Overlay is the tar archive of an overlay's upper directory, as gVisor saves it.
	Overlay LayerKind = "overlay"
	// Image is an EROFS image that this package has written.
	Image LayerKind = "image"
)

// Limits bound what an image may hold and what reading it may take.
type Limits struct {
	Tree   filetree.Limits
	Layers layers.Limits
	// CPUSeconds is how much processor time reading may take.
	CPUSeconds uint64
	// MemoryBytes is how much memory reading may take.
	MemoryBytes uint64
}

// DefaultLimits are far above what images have that people use.
var DefaultLimits = Limits{
	Tree: filetree.Limits{Entries: 2_000_000},
	Layers: layers.Limits{
		StreamBytes: 256 << 30, FileBytes: 64 << 30,
		Ratio: 200, RatioFrom: 4 << 30,
	},
	CPUSeconds: 1800, MemoryBytes: 6 << 30,
}

// DefaultUser is the one after the usual users of VMs.
const DefaultUser = 1<<30 + 1<<15

// Progress is how far reading is.
type Progress struct {
	// Layer counts from 1 to Layers.
	Layer, Layers int
	// Bytes are those of the layer that were read, of TotalBytes, as packed.
	Bytes, TotalBytes int64
}

// Format is a kind of file system.
type Format string

const (
	// Ext4 is a disk that a VM writes to, and that can grow.
	Ext4 Format = "ext4"
	// EROFS is an image that gVisor reads. It is as large as its files, and has none of
	// their extended attributes: gVisor refuses a file of an image that has any.
	EROFS Format = "erofs"
)

// Options are what to make.
type Options struct {
	// Format is Ext4 if it is empty.
	Format Format
	// Base is the path of an EROFS image that the layers are laid over; empty for none. The
	// new one is a clone of it: only what the layers bring takes room, where the file system
	// has reflinks. Format is EROFS.
	Base string
	// Layers are those of the image, the lowest first.
	Layers []Layer
	// DiskMiB is the disk's size, at least MinimumDiskMiB. An EROFS image takes no more.
	DiskMiB int
	// UUID is the file system's. The same layers, size and UUID give the same disk.
	UUID   string
	Limits Limits
	// User is the ID of a user and a group that nothing else on the machine has. It is not
	// used if the caller is not root.
	User int
	// Progress is called now and then; nil for not at all.
	Progress func(Progress)
}

// MinimumDiskMiB is the smallest disk, in MiB.
const MinimumDiskMiB = 64

// Errors of Write, besides *InvalidError.
var (
	// ErrDiskFull says that the image's files need a larger disk.
	ErrDiskFull = errors.New("the image does not fit on the disk")
	// ErrTooManyFiles says that the disk is too small for the number of files.
	ErrTooManyFiles = errors.New("the image has more files than the disk has inodes")
	// ErrHostFull says that the host's file system is full.
	ErrHostFull = errors.New("the host's file system is full")
)

// InvalidError is a rule that the image breaks. Text is for the image's owner.
type InvalidError struct{ Text string }

func (e *InvalidError) Error() string { return e.Text }

// Write makes target, which must not exist, a sparse disk with the files of the layers. The
// disk is durable on return. After an error there is no target.
func Write(ctx context.Context, target string, options Options) (err error) {
	if options.DiskMiB < MinimumDiskMiB {
		return fmt.Errorf("make a disk of an image: %d MiB are too small; the least is %d", options.DiskMiB, MinimumDiskMiB)
	}
	// Children are told by their parent's thread when it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	w := writer{options: options, size: int64(options.DiskMiB) << 20}
	w.options.Format = cmp.Or(options.Format, Ext4)
	if err := w.create(target); err != nil {
		return err
	}
	file, err := os.OpenFile(target, os.O_RDWR, 0)
	if err != nil {
		return errors.Join(err, os.Remove(target))
	}
	defer func() {
		err = errors.Join(err, file.Close())
		if err != nil {
			err = errors.Join(err, os.Remove(target))
		}
	}()
	w.file = file
	if err := w.own(options.User); err != nil {
		return err
	}
	if err := w.write(ctx); err != nil {
		return err
	}
	if err := w.own(0); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("sync the disk of an image: %w", hostFull(err))
	}
	return nil
}

type writer struct {
	options Options
	file    *os.File
	// size is how long the file may become, in bytes. The holes of an EROFS image count.
	size int64
}

// create makes the file, and sets how long it may become.
func (w *writer) create(target string) error {
	if w.options.Format != EROFS {
		return disk.CreateSparse(target, w.size)
	}
	// The holes of all files together, and the inodes.
	w.size += 2 * w.options.Limits.Layers.StreamBytes
	if w.options.Base == "" {
		return disk.CreateSparse(target, 0)
	}
	info, err := os.Stat(w.options.Base)
	if err != nil {
		return fmt.Errorf("extend an image: %w", err)
	}
	w.size += info.Size()
	return disk.CloneOrCopy(w.options.Base, target)
}

// own gives the file to a user, so that processes of that user may open it.
func (w *writer) own(user int) error {
	if os.Geteuid() != 0 {
		return nil
	}
	if err := w.file.Chown(user, user); err != nil {
		return fmt.Errorf("make a disk of an image: %w", err)
	}
	return nil
}

func (w *writer) write(ctx context.Context) error {
	if w.options.Format == EROFS {
		_, err := w.fill(ctx)
		return err
	}
	if err := w.format(ctx); err != nil {
		return fmt.Errorf("make a file system: %w", err)
	}
	filled, err := w.fill(ctx)
	if err != nil {
		return err
	}
	if filled.LargeDirectory {
		if err := w.index(ctx); err != nil {
			return fmt.Errorf("index directories: %w", err)
		}
	}
	if err := w.check(ctx); err != nil {
		return fmt.Errorf("check the file system: %w", err)
	}
	return nil
}

// checkTimeout is for mke2fs and e2fsck.
const checkTimeout = 10 * time.Minute
