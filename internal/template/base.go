package template

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/envdclient"
	"git.omukk.dev/wrenn/sandbox/internal/network"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// BaseName is the alias of the template that every installation has.
const BaseName = "base"

// Base is how the base template's snapshot is made from its image.
type Base struct {
	Image  Image
	Driver vmm.Driver
	// DriverVersion is part of the build's identity: a snapshot restores only with the
	// VMM that made it.
	DriverVersion string
	Network       *network.Pool
	// Dir is where template builds are kept, each in a directory named by its ID.
	Dir       string
	VCPUCount int
	MemoryMiB int
	Progress  func(string)
	Log       *slog.Logger
}

const (
	bootTimeout = 90 * time.Second
	// bootAttempts: under software emulation on a busy host, some kernels hang now and
	// then while they measure their clocks.
	bootAttempts = 3
	warmTimeout  = 60 * time.Second
)

// warmCommand is run once before the snapshot: what nearly every sandbox reads first is
// then in the guest's page cache.
const warmCommand = "python3 -c 'import json, os, subprocess, sys' && git --version && ls / >/dev/null"

// buildNamespace is the namespace of build IDs, which are derived from a build's inputs.
var buildNamespace = uuid.MustParse("6f0d5c9e-3c0e-4b7a-9a51-0d1b6c8f2a77")

// Ensure returns the base template's snapshot, which it makes if it is missing, and
// removes older builds of it.
func (b Base) Ensure(ctx context.Context) (*snapshot.Snapshot, error) {
	if err := os.MkdirAll(b.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make template directory: %w", err)
	}
	if err := b.endBoots(ctx); err != nil {
		return nil, err
	}
	id := b.buildID()
	if err := b.removeOthers(id); err != nil {
		return nil, err
	}
	directory := filepath.Join(b.Dir, id)
	made, err := snapshot.Open(directory)
	if err == nil {
		return made, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		b.Log.WarnContext(ctx, "base template cannot be read and is made again", "error", err)
	}
	if err := os.RemoveAll(directory); err != nil {
		return nil, fmt.Errorf("remove unreadable template: %w", err)
	}
	return b.make(ctx, id, directory)
}

// endBoots ends VMs of an agent that was killed while it made a template. Recovery of
// sandboxes does not look for them.
func (b Base) endBoots(ctx context.Context) error {
	left, err := b.Driver.Processes(b.Dir)
	if err != nil {
		return fmt.Errorf("find VMs of unfinished templates: %w", err)
	}
	for _, process := range left {
		b.Log.WarnContext(ctx, "ending the VM of an unfinished template", "process", process.ID)
		if err := process.End(ctx); err != nil {
			return fmt.Errorf("end the VM of an unfinished template: %w", err)
		}
	}
	return nil
}

func (b Base) buildID() string {
	inputs := fmt.Sprintf("%s %s %s %s %d %d %s", b.Image.Hash, b.Driver.Name(), b.Driver.Accelerator(),
		b.DriverVersion, b.VCPUCount, b.MemoryMiB, warmCommand)
	return uuid.NewSHA1(buildNamespace, []byte(inputs)).String()
}

// removeOthers deletes earlier base builds. Paused sandboxes do not need them: their own
// snapshots are complete.
func (b Base) removeOthers(id string) error {
	entries, err := os.ReadDir(b.Dir)
	if err != nil {
		return fmt.Errorf("read template directory: %w", err)
	}
	for _, entry := range entries {
		if entry.Name() == id {
			continue
		}
		other, err := snapshot.Open(filepath.Join(b.Dir, entry.Name()))
		if err == nil && other.Name != BaseName {
			continue
		}
		if err := os.RemoveAll(filepath.Join(b.Dir, entry.Name())); err != nil {
			return fmt.Errorf("remove old template build: %w", err)
		}
	}
	return nil
}

// make boots the image in a directory of its own and takes the snapshot.
func (b Base) make(ctx context.Context, id, directory string) (_ *snapshot.Snapshot, err error) {
	began := time.Now()
	work, err := os.MkdirTemp(b.Dir, "boot-")
	if err != nil {
		return nil, fmt.Errorf("make template: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	for attempt := 1; ; attempt++ {
		b.Progress(fmt.Sprintf("booting the base template once under %s/%s", b.Driver.Name(), b.Driver.Accelerator()))
		made, err := b.bootAndSnapshot(ctx, id, filepath.Join(work, fmt.Sprint(attempt)), directory)
		if err == nil {
			b.Progress(fmt.Sprintf("base template is ready (booted and snapshotted in %.1f s)", time.Since(began).Seconds()))
			return made, nil
		}
		if attempt == bootAttempts || ctx.Err() != nil {
			return nil, fmt.Errorf("make base template: %w", err)
		}
		b.Log.WarnContext(ctx, "base template did not boot, trying again", "attempt", attempt, "error", err)
		b.Progress("the base template did not boot, trying again")
	}
}

func (b Base) bootAndSnapshot(ctx context.Context, id, work, directory string) (_ *snapshot.Snapshot, err error) {
	memoryPath, diskPath, runDir := filepath.Join(work, "memory"), filepath.Join(work, "disk"), filepath.Join(work, "run")
	if err := os.MkdirAll(runDir, 0o700); err != nil {
		return nil, err
	}
	if err := disk.CreateSparse(memoryPath, int64(b.MemoryMiB)<<20); err != nil {
		return nil, err
	}
	source := snapshot.Source{MemoryPath: memoryPath, DiskPath: diskPath}
	if err := b.writeDisk(ctx, work, &source); err != nil {
		return nil, err
	}
	slot, err := b.Network.Acquire(ctx, false)
	if err != nil {
		return nil, err
	}
	defer b.Network.Release(slot)
	boot := ColdBoot(b.Image)
	boot.MemoryPath = memoryPath
	machine, err := b.Driver.Boot(ctx, vmm.Spec{
		Name: "template-" + id, RunDir: runDir, User: slot.User(), VCPUCount: b.VCPUCount, MemoryMiB: b.MemoryMiB, DiskPath: diskPath,
		DirectoryPath: source.DirectoryPath, DiskMiB: b.Image.DiskMiB,
		NetworkNamespace: slot.Namespace(), TapDevice: slot.GuestDevice(), GuestMAC: network.GuestMAC,
	}, boot)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, machine.Kill(context.WithoutCancel(ctx))) }()
	if err := b.settle(ctx, slot, id); err != nil {
		return nil, err
	}
	if err := machine.Pause(ctx); err != nil {
		return nil, err
	}
	source.Machine = machine
	return snapshot.Take(ctx, source, snapshot.Manifest{
		BuildID: id, Name: BaseName, VCPUCount: b.VCPUCount, MemoryMiB: b.MemoryMiB,
		DiskMiB: b.Image.DiskMiB, EnvdVersion: b.Image.EnvdVersion,
	}, directory)
}

// writeDisk writes what the driver's machines have as their disk.
func (b Base) writeDisk(ctx context.Context, work string, source *snapshot.Source) error {
	if !vmm.CapabilitiesOf(b.Driver).Layers {
		return b.Image.WriteDisk(ctx, source.DiskPath)
	}
	source.DirectoryPath = filepath.Join(work, "wrenn")
	return errors.Join(b.Image.WriteEROFS(ctx, source.DiskPath), b.Image.WriteDirectory(ctx, source.DirectoryPath))
}

// ColdBoot is how a disk made from an image is booted. The caller sets the memory path.
func ColdBoot(image Image) vmm.Boot {
	return vmm.Boot{KernelPath: image.KernelPath, InitramfsPath: image.InitramfsPath, CommandLine: KernelCommandLine}
}

// settle waits for envd, warms the guest up and quiets it for the snapshot. It begins a
// life of the template's own, in which envd makes and mounts the files that hold a
// sandbox's identity: sandboxes find them ready.
func (b Base) settle(ctx context.Context, slot *network.Slot, id string) error {
	envd := envdclient.New(slot.Address())
	boot, cancel := context.WithTimeout(ctx, bootTimeout)
	defer cancel()
	if err := envd.AwaitHealthy(boot); err != nil {
		return fmt.Errorf("wait for the guest agent: %w", err)
	}
	if _, err := envd.Init(boot, "", envdclient.Init{DefaultUser: "user", LifecycleID: id}); err != nil {
		return fmt.Errorf("initialise the guest agent: %w", err)
	}
	b.Progress("warming the template up")
	warm, cancel := context.WithTimeout(ctx, warmTimeout)
	defer cancel()
	if err := envd.Run(warm, "", warmCommand); err != nil {
		return fmt.Errorf("warm the guest up: %w", err)
	}
	return envd.PrepareSnapshot(ctx, "", envdclient.Preparation{})
}
