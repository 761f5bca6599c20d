package hostagent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/boot"
	"git.omukk.dev/wrenn/sandbox/internal/cgroup"
	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/installation"
	"git.omukk.dev/wrenn/sandbox/internal/network"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
	"git.omukk.dev/wrenn/sandbox/internal/volume"
)

// machine are the host's resources that sandboxes use.
type machine struct {
	storage    *disk.Storage
	driver     driver
	network    *network.Pool
	cgroups    *cgroup.Root
	diskLimits cgroup.IOLimits // of each VM
	volumes    *volume.Store
}

// path is a directory of the storage.
func (m *machine) path(directory string) string { return filepath.Join(m.storage.Dir, directory) }

// openMachine opens the host's resources for this agent alone. It builds the image only
// if the choice of the driver needs it.
func openMachine(ctx context.Context, config Config, image *guestImage, parts *boot.Sequence) (*machine, error) {
	err := parts.Step(ctx, "take the data directory", func(context.Context) error { return takeDataDir(config.DataDir, parts) })
	if err != nil {
		return nil, err
	}
	storage, err := boot.Make(ctx, parts, "open storage", func(ctx context.Context) (*disk.Storage, error) {
		return openStorage(ctx, config, parts)
	})
	if err != nil {
		return nil, err
	}
	driver, err := boot.Make(ctx, parts, "choose a driver", func(ctx context.Context) (driver, error) {
		return openDriver(ctx, config, storage.Dir, image.ensure)
	})
	if err != nil {
		return nil, err
	}
	pool, err := boot.Make(ctx, parts, "set up networking", func(ctx context.Context) (*network.Pool, error) {
		return openNetwork(ctx, config, driver, parts)
	})
	if err != nil {
		return nil, err
	}
	groups, err := boot.Make(ctx, parts, "open control groups", func(context.Context) (*cgroup.Root, error) {
		return openCgroups(config, parts)
	})
	if err != nil {
		return nil, err
	}
	limits, err := boot.Make(ctx, parts, "limit the disk", func(context.Context) (cgroup.IOLimits, error) {
		return checkDiskLimits(config.Limits, groups, storage.Dir)
	})
	if err != nil {
		return nil, err
	}
	volumes, err := boot.Make(ctx, parts, "open volumes", func(context.Context) (*volume.Store, error) {
		const mebibyte = 1 << 20
		return volume.OpenStore(filepath.Join(storage.Dir, "volumes"), int64(config.Limits.DiskReserveMiB)*mebibyte)
	})
	if err != nil {
		return nil, err
	}
	return &machine{storage: storage, driver: driver, network: pool, cgroups: groups, diskLimits: limits, volumes: volumes}, nil
}

// takeDataDir locks the data directory, so that no other agent uses it.
func takeDataDir(dataDir string, parts *boot.Sequence) error {
	if os.Geteuid() != 0 {
		return errors.New("the host agent must run as root: it makes network namespaces and mounts")
	}
	if err := os.MkdirAll(dataDir, 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(dataDir, "host-agent.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		return fmt.Errorf("another host agent uses %s: %w", dataDir, err)
	}
	parts.OnStop("release the data directory", func(context.Context) error { return lock.Close() })
	return nil
}

func openStorage(ctx context.Context, config Config, parts *boot.Sequence) (*disk.Storage, error) {
	storage, err := disk.OpenStorage(ctx, config.DataDir, config.Progress)
	if err != nil {
		return nil, err
	}
	parts.OnStop("close storage", func(context.Context) error {
		if config.KeepRunning {
			return nil // VMs use it
		}
		return storage.Close()
	})
	return storage, nil
}

func openNetwork(ctx context.Context, config Config, driver driver, parts *boot.Sequence) (*network.Pool, error) {
	pool, err := network.NewPool(ctx, network.Config{
		StateDir:         filepath.Join(config.DataDir, "network"),
		Limits:           config.Limits.network(),
		Log:              config.Log,
		PacketLinks:      vmm.CapabilitiesOf(driver).Layers,
		FirstUser:        config.FirstUser,
		UpstreamNetworks: config.UpstreamNetworks,
	})
	if err != nil {
		return nil, err
	}
	parts.OnStop("close networking", func(context.Context) error {
		if config.KeepRunning {
			pool.Leave()
			return nil
		}
		return pool.Close()
	})
	return pool, nil
}

// openCgroups opens the control groups for VMs.
func openCgroups(config Config, parts *boot.Sequence) (*cgroup.Root, error) {
	name, err := installation.EnsureName(config.DataDir)
	if err != nil {
		return nil, err
	}
	groups := cgroup.Open(config.Limits.CgroupRoot, name, config.Log)
	parts.OnStop("close control groups", func(context.Context) error { return groups.Close() })
	return groups, nil
}

// checkDiskLimits returns the limits of each VM on the disk of a directory. It fails if
// such limits are configured and cannot be set.
func checkDiskLimits(configured Limits, groups *cgroup.Root, directory string) (cgroup.IOLimits, error) {
	limits := configured.disk()
	if limits == (cgroup.IOLimits{}) {
		return limits, nil
	}
	if !groups.Enforces("io") {
		return limits, errors.New("limits of the disk are configured, but control groups have no io controller here")
	}
	var err error
	if limits.Device, err = cgroup.DeviceOf(directory); err != nil {
		return limits, err
	}
	if err := groups.Check(cgroup.Limits{IO: limits}); err != nil {
		return limits, fmt.Errorf("limits of the disk are configured, but cannot be set: %w", err)
	}
	return limits, nil
}
