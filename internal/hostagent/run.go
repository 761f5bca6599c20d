package hostagent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/cgroup"
	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/envdclient"
	"git.omukk.dev/wrenn/sandbox/internal/network"
	"git.omukk.dev/wrenn/sandbox/internal/proxy/forward"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
	"git.omukk.dev/wrenn/sandbox/internal/template"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
	"git.omukk.dev/wrenn/sandbox/internal/volume"
	"git.omukk.dev/wrenn/sandbox/pkg/requestlog"
)

// agent is a host agent while it starts, runs and stops. Each step of the
// start leaves behind how to undo it.
type agent struct {
	config Config
	undo   []func() error

	storage *disk.Storage
	image   template.Image
	driver  vmm.Driver
	// driverVersion is what the VMM calls itself.
	driverVersion string
	network       *network.Pool
	base          *snapshot.Snapshot
	cgroups       *cgroup.Root
	traffic       *forward.Forwarder
	way           *traffic // into the sandboxes
	volumes       *volume.Store
	sandbox       *sandbox.Manager
	services      *services

	diskLimits cgroup.IOLimits
}

// Directories of the storage.
const (
	sandboxDirectory  = "sandboxes"
	snapshotDirectory = "snapshots"
)

// Run starts the host agent and serves until ctx ends; then it pauses what runs,
// unless that shall be kept running. It needs root.
func Run(ctx context.Context, config Config) (err error) {
	if err := config.validate(); err != nil {
		return err
	}
	config.Log = slog.New(requestlog.NewHandler(config.Log.Handler()))
	a := &agent{config: config}
	defer func() { err = errors.Join(err, a.tearDown()) }()
	for _, step := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"take the data directory", a.takeDataDir},
		{"open storage", a.openStorage},
		{"choose a driver", a.chooseDriver},
		{"set up networking", a.openNetwork},
		{"open control groups", a.openCgroups},
		{"open volumes", a.openVolumes},
		// What ran on without an agent is looked after first: a new image and template
		// take their time, after an upgrade.
		{"find sandboxes", a.openSandboxes},
		{"let traffic in", a.openTraffic},
		{"build the guest image", a.buildImage},
		{"make the base template", a.makeBase},
		{"take orders", a.takeOrders},
	} {
		if err := step.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	config.Log.Info("host agent is ready", "driver", a.driver.Name(), "accelerator", a.driver.Accelerator(), "template", a.base.BuildID)
	return a.services.wait()
}

func (a *agent) tearDown() error {
	var failures []error
	for i := len(a.undo) - 1; i >= 0; i-- {
		failures = append(failures, a.undo[i]())
	}
	return errors.Join(failures...)
}

func (a *agent) onTearDown(undo func() error) { a.undo = append(a.undo, undo) }

// takeDataDir makes sure that no other agent works on the same data.
func (a *agent) takeDataDir(context.Context) error {
	if os.Geteuid() != 0 {
		return errors.New("the host agent must run as root: it makes network namespaces and mounts")
	}
	if err := os.MkdirAll(a.config.DataDir, 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(a.config.DataDir, "host-agent.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		return fmt.Errorf("another host agent uses %s: %w", a.config.DataDir, err)
	}
	a.onTearDown(lock.Close)
	return nil
}

func (a *agent) openStorage(ctx context.Context) (err error) {
	a.storage, err = disk.OpenStorage(ctx, a.config.DataDir, a.config.Progress)
	if err == nil {
		a.onTearDown(a.closeStorage)
	}
	return err
}

func (a *agent) chooseDriver(ctx context.Context) (err error) {
	a.driver, a.driverVersion, err = openDriver(ctx, a.config, a.storage.Dir, func(ctx context.Context) (template.Image, error) {
		err := a.buildImage(ctx)
		return a.image, err
	})
	return err
}

// buildImage does nothing where it was done before.
func (a *agent) buildImage(ctx context.Context) (err error) {
	if a.image != (template.Image{}) {
		return nil
	}
	a.image, err = template.BuildImage(ctx, template.ImageOptions{
		CacheDir: a.config.CacheDir,
		EnvdPath: a.config.EnvdPath,
		DiskMiB:  a.config.DiskMiB,
		Progress: a.config.Progress,
		Log:      a.config.Log,
	})
	return err
}

func (a *agent) openNetwork(ctx context.Context) (err error) {
	a.network, err = network.NewPool(ctx, network.Config{
		StateDir: filepath.Join(a.config.DataDir, "network"),
		Limits:   a.config.Limits.network(),
		Log:      a.config.Log,

		FirstUser:        a.config.FirstUser,
		UpstreamNetworks: a.config.UpstreamNetworks,
	})
	if err == nil {
		a.onTearDown(a.closeNetwork)
	}
	return err
}

func (a *agent) makeBase(ctx context.Context) (err error) {
	vcpus := a.config.VCPUCount
	if vcpus == 0 {
		vcpus = defaultVCPUCount(a.driver.Accelerator())
	}
	a.base, err = template.Base{
		Image: a.image, Driver: a.driver, DriverVersion: a.driverVersion, Network: a.network,
		Dir:       filepath.Join(a.storage.Dir, "templates"),
		VCPUCount: vcpus, MemoryMiB: a.config.MemoryMiB,
		Progress: a.config.Progress, Log: a.config.Log,
	}.Ensure(ctx)
	if err == nil {
		a.sandbox.Offer(a.base, template.ColdBoot(a.image))
	}
	return err
}

func (a *agent) openVolumes(context.Context) (err error) {
	const mebibyte = 1 << 20
	a.volumes, err = volume.OpenStore(filepath.Join(a.storage.Dir, "volumes"), int64(a.config.Limits.DiskReserveMiB)*mebibyte)
	return err
}

func (a *agent) openSandboxes(ctx context.Context) error {
	memory, _, err := sandbox.HostMemory()
	if err != nil {
		return err
	}
	a.traffic = forward.New(a.config.Log)
	a.sandbox, err = sandbox.NewManager(ctx, sandbox.Config{
		Dir: filepath.Join(a.storage.Dir, sandboxDirectory), SnapshotDir: filepath.Join(a.storage.Dir, snapshotDirectory), Driver: a.driver, Network: a.network,
		WarmBytes:  int64(memory) / 100 * int64(a.config.WarmMemoryPercent),
		Cgroups:    a.cgroups,
		DiskLimits: a.diskLimits,
		Admission:  a.config.Limits.admission(a.storage.Dir, a.config.DataDir),
		Volumes:    a.volumes,
		Drain:      func(ctx context.Context, id string) { a.traffic.Drain(ctx, id, envdclient.Port) },
		Disconnect: a.traffic.CloseSandbox,
		Log:        a.config.Log,
	})
	if err == nil {
		a.onTearDown(a.closeSandboxes)
	}
	return err
}

// closeSandboxes pauses what runs, or leaves it to the next agent.
func (a *agent) closeSandboxes() error {
	if !a.config.KeepRunning {
		return a.sandbox.Close()
	}
	a.sandbox.Leave()
	return nil
}

func (a *agent) closeNetwork() error {
	if !a.config.KeepRunning {
		return a.network.Close()
	}
	a.network.Leave()
	return nil
}

func (a *agent) closeStorage() error {
	if a.config.KeepRunning {
		return nil // VMs may use it
	}
	return a.storage.Close()
}
