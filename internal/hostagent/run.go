package hostagent

import (
	"context"
	"log/slog"

	"git.omukk.dev/wrenn/sandbox/internal/boot"
	"git.omukk.dev/wrenn/sandbox/internal/proxy/forward"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/admission"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
	"git.omukk.dev/wrenn/sandbox/internal/template"
	"git.omukk.dev/wrenn/sandbox/pkg/requestlog"
	"git.omukk.dev/wrenn/sandbox/pkg/settings"
)

// Run starts the host agent and serves until ctx ends. It then pauses what runs, unless
// Config.KeepRunning is set. It needs root.
func Run(ctx context.Context, config Config) error {
	if err := settings.Check(&config); err != nil {
		return err
	}
	config.Log = slog.New(requestlog.NewHandler(config.Log.Handler()))
	return boot.Run(ctx, func(ctx context.Context, parts *boot.Sequence) error { return start(ctx, config, parts) })
}

// start starts the agent's parts, each from those that it needs. Sandboxes that ran on
// without an agent are adopted, and traffic reaches them, before the image and the base
// template are built, which takes minutes after an upgrade. Control planes are served
// last, when all of their requests can be fulfilled.
func start(ctx context.Context, config Config, parts *boot.Sequence) error {
	image := &guestImage{config: config}
	m, err := openMachine(ctx, config, image, parts)
	if err != nil {
		return err
	}
	forwarder := forward.New(config.Log)
	parts.OnStop("close connections to guests", func(context.Context) error { forwarder.Close(); return nil })
	sandboxes, err := boot.Make(ctx, parts, "find sandboxes", func(ctx context.Context) (*sandbox.Manager, error) {
		return openSandboxes(ctx, config, m, forwarder, parts)
	})
	if err != nil {
		return err
	}
	guests := &traffic{sandboxes: sandboxes, forwarder: forwarder, log: config.Log}
	err = parts.Step(ctx, "serve traffic", func(ctx context.Context) error { return serveTraffic(ctx, config, guests, parts) })
	if err != nil {
		return err
	}
	guest, err := boot.Make(ctx, parts, "build the guest image", image.ensure)
	if err != nil {
		return err
	}
	base, err := boot.Make(ctx, parts, "make the base template", func(ctx context.Context) (*snapshot.Snapshot, error) {
		return makeBase(ctx, config, m, guest)
	})
	if err != nil {
		return err
	}
	sandboxes.Offer(base, template.ColdBoot(guest))
	builds, err := boot.Make(ctx, parts, "find layers of builds", func(ctx context.Context) (*builds, error) {
		return openBuilds(ctx, config, m, guest, sandboxes, parts)
	})
	if err != nil {
		return err
	}
	err = parts.Step(ctx, "serve control planes", func(ctx context.Context) error {
		return serveControlPlanes(ctx, config, &server{
			sandboxes: sandboxes, driver: m.driver, sizes: builds.sizes, version: config.Version, storageDir: m.storage.Dir, volumes: m.volumes,
			stopping: ctx.Done(),
		}, builds, guests, parts)
	})
	if err != nil {
		return err
	}
	config.Log.InfoContext(ctx, "host agent is ready", "driver", m.driver.Name(), "accelerator", m.driver.Accelerator(), "template", base.BuildID)
	return nil
}

// Directories of the storage.
const (
	sandboxDirectory  = "sandboxes"
	snapshotDirectory = "snapshots"
)

// openSandboxes adopts the sandboxes of the agent before. When the agent stops, it
// pauses them or leaves them running for the next agent.
func openSandboxes(ctx context.Context, config Config, m *machine, forwarder *forward.Forwarder, parts *boot.Sequence) (*sandbox.Manager, error) {
	memory, _, err := admission.HostMemory()
	if err != nil {
		return nil, err
	}
	sandboxes, err := sandbox.NewManager(ctx, sandbox.Config{
		Dir: m.path(sandboxDirectory), SnapshotDir: m.path(snapshotDirectory), Driver: m.driver, Network: m.network,
		WarmBytes:  int64(memory) / 100 * int64(config.WarmMemoryPercent),
		Cgroups:    m.cgroups,
		DiskLimits: m.diskLimits,
		Admission:  config.Limits.admission(m.storage.Dir, config.DataDir),
		Volumes:    m.volumes,
		Traffic:    guestTraffic{forwarder},
		Log:        config.Log,
	})
	if err != nil {
		return nil, err
	}
	parts.OnStop("stop sandboxes", func(context.Context) error {
		if config.KeepRunning {
			sandboxes.Leave()
			return nil
		}
		return sandboxes.Close()
	})
	return sandboxes, nil
}
