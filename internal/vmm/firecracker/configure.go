package firecracker

import (
	"context"
	"fmt"

	"github.com/firecracker-microvm/firecracker-go-sdk/client/models"
	"github.com/firecracker-microvm/firecracker-go-sdk/client/operations"

	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// Names of devices, which a snapshot remembers.
const (
	diskDevice    = "root"
	networkDevice = "eth0"
)

// boot describes a machine and starts it. A flush by the guest reaches the host's
// disk; dirty pages are tracked from the start.
func (a *api) boot(ctx context.Context, spec vmm.Spec, commandLine string) error {
	limit := limiter(spec.NetworkBytesPerSecond)
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"size the machine", func() error {
			return send(a.PutMachineConfiguration, &operations.PutMachineConfigurationParams{Context: ctx, Body: &models.MachineConfiguration{
				VcpuCount: new(int64(spec.VCPUCount)), MemSizeMib: new(int64(spec.MemoryMiB)), TrackDirtyPages: new(true),
			}})
		}},
		{"set the kernel", func() error {
			return send(a.PutGuestBootSource, &operations.PutGuestBootSourceParams{Context: ctx, Body: &models.BootSource{
				KernelImagePath: new(jailKernel), InitrdPath: jailInitramfs, BootArgs: commandLine,
			}})
		}},
		{"add the disk", func() error {
			return send(a.PutGuestDriveByID, &operations.PutGuestDriveByIDParams{Context: ctx, DriveID: diskDevice, Body: &models.Drive{
				DriveID: new(diskDevice), PathOnHost: new(jailDisk), CacheType: new(models.DriveCacheTypeWriteback),
				IsRootDevice: new(false), IsReadOnly: new(false),
			}})
		}},
		{"add the network interface", func() error {
			return send(a.PutGuestNetworkInterfaceByID, &operations.PutGuestNetworkInterfaceByIDParams{
				Context: ctx, IfaceID: networkDevice, Body: &models.NetworkInterface{
					IfaceID: new(networkDevice), GuestMac: spec.GuestMAC, HostDevName: &spec.TapDevice,
					RxRateLimiter: limit, TxRateLimiter: limit,
				},
			})
		}},
		{"add the source of entropy", func() error {
			return send(a.PutEntropyDevice, &operations.PutEntropyDeviceParams{Context: ctx, Body: &models.EntropyDevice{}})
		}},
		{"configure the metadata service", func() error {
			return send(a.PutMmdsConfig, &operations.PutMmdsConfigParams{Context: ctx, Body: &models.MmdsConfig{
				Version: new(models.MmdsConfigVersionV2), NetworkInterfaces: []string{networkDevice},
			}})
		}},
		{"set the metadata", func() error { return a.setMetadata(ctx, spec) }},
		{"start the machine", func() error {
			return send(a.CreateSyncAction, &operations.CreateSyncActionParams{Context: ctx, Info: &models.InstanceActionInfo{
				ActionType: new(models.InstanceActionInfoActionTypeInstanceStart),
			}})
		}},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

// restore loads a snapshot, checks that it is of the machine wanted, and starts it
// with this machine's metadata and limits in place of those in the snapshot.
func (a *api) restore(ctx context.Context, spec vmm.Spec) error {
	if err := a.load(ctx, spec); err != nil {
		return fmt.Errorf("load the snapshot: %w", err)
	}
	if err := a.setMetadata(ctx, spec); err != nil {
		return fmt.Errorf("set the metadata: %w", err)
	}
	limit := limiter(spec.NetworkBytesPerSecond)
	if limit == nil {
		limit = &models.RateLimiter{Bandwidth: &models.TokenBucket{Size: new(int64(0)), RefillTime: new(int64(0))}} // no limit
	}
	err := send(a.PatchGuestNetworkInterfaceByID, &operations.PatchGuestNetworkInterfaceByIDParams{
		Context: ctx, IfaceID: networkDevice, Body: &models.PartialNetworkInterface{
			IfaceID: new(networkDevice), RxRateLimiter: limit, TxRateLimiter: limit,
		},
	})
	if err != nil {
		return fmt.Errorf("limit the network: %w", err)
	}
	if err := a.setState(ctx, models.VMStateResumed); err != nil {
		return fmt.Errorf("start the machine: %w", err)
	}
	return nil
}

func (a *api) load(ctx context.Context, spec vmm.Spec) error {
	err := a.loadSnapshot(ctx, snapshotToLoad{
		SnapshotLoadParams: models.SnapshotLoadParams{
			SnapshotPath: new(jailDevices),
			MemBackend:   &models.MemoryBackend{BackendType: new(models.MemoryBackendBackendTypeFile), BackendPath: new(jailMemory)},
		},
		TrackDirtyPages:  true,
		NetworkOverrides: []networkOverride{{InterfaceID: networkDevice, TapDevice: spec.TapDevice}},
	})
	if err != nil {
		return err
	}
	answer, err := a.GetMachineConfiguration(&operations.GetMachineConfigurationParams{Context: ctx})
	if err != nil {
		return explain(err)
	}
	loaded := answer.GetPayload()
	if loaded.VcpuCount == nil || loaded.MemSizeMib == nil {
		return fmt.Errorf("the snapshot is of a machine without a size")
	}
	if *loaded.VcpuCount != int64(spec.VCPUCount) || *loaded.MemSizeMib != int64(spec.MemoryMiB) {
		return fmt.Errorf("the snapshot is of %d CPUs and %d MiB, not of %d and %d",
			*loaded.VcpuCount, *loaded.MemSizeMib, spec.VCPUCount, spec.MemoryMiB)
	}
	return nil
}

// setState pauses or resumes the machine.
func (a *api) setState(ctx context.Context, state string) error {
	return send(a.PatchVM, &operations.PatchVMParams{Context: ctx, Body: &models.VM{State: &state}})
}

// setMetadata sets what the guest is served: never null, which would be refused.
func (a *api) setMetadata(ctx context.Context, spec vmm.Spec) error {
	metadata := spec.Metadata
	if metadata == nil {
		metadata = map[string]string{}
	}
	return send(a.PutMmds, &operations.PutMmdsParams{Context: ctx, Body: metadata})
}

// limiter bounds bandwidth, smoothed over a tenth of a second; nil for no bound.
func limiter(bytesPerSecond int64) *models.RateLimiter {
	if bytesPerSecond <= 0 {
		return nil
	}
	const refillMilliseconds = 100
	return &models.RateLimiter{Bandwidth: &models.TokenBucket{
		Size: new(max(1, bytesPerSecond*refillMilliseconds/1000)), RefillTime: new(int64(refillMilliseconds)),
	}}
}
