// Package guestdisk is what the disks of a host's guests are: files that VMs write to, or
// images under layers of changes. Builds make, clone and save disks by it, and need not know
// the driver.
package guestdisk

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/image/rootfs"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// Disks are those of one driver's guests.
//
// Without layers a disk is an ext4 file, of which each machine has a clone. With layers it is
// an EROFS image, which is never written to and which all machines have; what a machine
// changes is a layer over it, that Save makes a part of a new image.
type Disks struct {
	layered bool
	// directoryPath is the image of Wrenn's directory, layerPath a layer without changes.
	directoryPath, layerPath string
}

// Open returns the disks of a driver's guests. Files that all disks with layers share are
// made in a directory on the file system of the disks; id names the content that
// writeDirectory writes, which is the image of Wrenn's directory.
func Open(ctx context.Context, driver vmm.Driver, directory, id string, writeDirectory func(ctx context.Context, path string) error) (_ Disks, err error) {
	if !vmm.CapabilitiesOf(driver).Layers {
		return Disks{}, nil
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("make what the disks of guests share: %w", err)
		}
	}()
	d := Disks{layered: true, directoryPath: filepath.Join(directory, id), layerPath: filepath.Join(directory, id+".layer")}
	if _, err := os.Stat(d.layerPath); err == nil {
		return d, nil
	}
	// Snapshots and machines have names of their own for what they use of an earlier one.
	if err := os.RemoveAll(directory); err != nil {
		return Disks{}, err
	}
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return Disks{}, err
	}
	if err := writeDirectory(ctx, d.directoryPath); err != nil {
		return Disks{}, err
	}
	// It is written last: who finds it finds both.
	return d, errors.Join(disk.SyncFile(d.directoryPath), writeEmptyLayer(d.layerPath))
}

// writeEmptyLayer writes the archive of an upper directory without files.
func writeEmptyLayer(path string) (err error) {
	file, err := os.Create(path + ".new")
	if err != nil {
		return err
	}
	writer := tar.NewWriter(file)
	root := &tar.Header{Typeflag: tar.TypeDir, Name: "./", Mode: 0o755}
	if err := errors.Join(writer.WriteHeader(root), writer.Close(), file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

// Format is the file system of a disk's file.
func (d Disks) Format() rootfs.Format {
	if d.layered {
		return rootfs.EROFS
	}
	return rootfs.Ext4
}

// Source is a disk that no machine has, to take a snapshot of.
func (d Disks) Source(path string) snapshot.Source {
	return snapshot.Source{DiskPath: path, DirectoryPath: d.directoryPath, LayerPath: d.layerPath}
}

// Clone makes target the same disk, on the same file system.
func (d Disks) Clone(path, target string) error {
	if !d.layered {
		return disk.Clone(path, target)
	}
	if err := os.Link(path, target); err != nil {
		return fmt.Errorf("share a disk: %w", err)
	}
	return nil
}

// Enlarge sets the size of a disk that no machine has. The file system of a VM's disk grows
// when it is booted; the size of an image bounds what machines may change.
func (d Disks) Enlarge(path string, diskMiB int) error {
	if d.layered {
		return nil
	}
	if err := os.Truncate(path, int64(diskMiB)<<20); err != nil {
		return fmt.Errorf("enlarge a disk: %w", err)
	}
	return nil
}

// HaveLayers says whether a machine has its changes itself: it has to stand still for Save.
// Otherwise its disk has what the guest has written out.
func (d Disks) HaveLayers() bool { return d.layered }

// Save makes target a disk with the image of a stopped machine and all that it has changed.
// Blocks that are the same are shared. It is only for disks with layers.
func (d Disks) Save(ctx context.Context, of snapshot.Source, target string, diskMiB int) (err error) {
	saver, able := of.Machine.(vmm.LayerSaver)
	if !able {
		return fmt.Errorf("save a disk: a %T has no layer", of.Machine)
	}
	layer := target + ".layer"
	defer func() { err = errors.Join(err, disk.RemoveIfThere(layer)) }()
	if err := saver.SaveLayer(ctx, layer); err != nil {
		return fmt.Errorf("save a disk: %w", err)
	}
	return merge(ctx, of.DiskPath, layer, target, diskMiB)
}

// leastMiB is what an image may grow by, whatever the disk's size.
const leastMiB = 64

// merge lays a saved layer over the image at path.
func merge(ctx context.Context, path, layer, target string, diskMiB int) error {
	changes, err := os.Open(layer)
	if err != nil {
		return fmt.Errorf("save a disk: %w", err)
	}
	defer changes.Close()
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("save a disk: %w", err)
	}
	err = rootfs.Write(ctx, target, rootfs.Options{
		Format: rootfs.EROFS, Base: path, Layers: []rootfs.Layer{{Kind: rootfs.Overlay, File: changes}},
		DiskMiB: diskMiB + int(info.Size()>>20) + leastMiB, Limits: rootfs.DefaultLimits, User: rootfs.DefaultUser,
	})
	if err != nil {
		return fmt.Errorf("save a disk: %w", err)
	}
	return nil
}
