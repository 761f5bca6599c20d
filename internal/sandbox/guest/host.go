package guest

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/cgroup"
	"git.omukk.dev/wrenn/sandbox/internal/envdclient"
	"git.omukk.dev/wrenn/sandbox/internal/network"
	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// Network gives guests their network.
type Network interface {
	Acquire(ctx context.Context, internet bool) (*network.Slot, error)
	Adopt(name string) (*network.Slot, error)
	Release(slot *network.Slot)
}

var _ Network = (*network.Pool)(nil)

// Traffic is the connections from outside to a sandbox's guest.
type Traffic interface {
	// Drain waits until the agent's clients have received everything and their
	// connections have ended, or ctx ends. The agent has ended their streams before.
	Drain(ctx context.Context, sandboxID string)
	// Disconnect ends every connection to the guest. It is called when the VM stops,
	// because a stopped VM closes none.
	Disconnect(sandboxID string)
}

// Config is what a Host starts guests with.
type Config struct {
	Driver     vmm.Driver
	Network    Network
	Cgroups    *cgroup.Root
	DiskLimits cgroup.IOLimits
	Volumes    Volumes
	Traffic    Traffic
	Log        *slog.Logger
}

// Host starts, adopts and stops guests.
type Host struct {
	config Config
	boot   atomic.Pointer[vmm.Boot]
}

// NewHost makes a Host.
func NewHost(config Config) *Host { return &Host{config: config} }

// SetBoot sets how a guest without memory is booted. MemoryPath is not looked at.
func (h *Host) SetBoot(boot vmm.Boot) { h.boot.Store(&boot) }

// StopTimeout bounds how long the kernel may take to end a killed VMM.
const StopTimeout = 30 * time.Second

// Start makes a snapshot a VM that runs and gives it an identity. On error nothing of it
// is left.
func (h *Host) Start(ctx context.Context, spec Spec, base *snapshot.Snapshot, identity Identity) (_ *Guest, err error) {
	if err := base.Check(); err != nil {
		return nil, err
	}
	if err := h.checkDisk(base); err != nil {
		return nil, err
	}
	if err := spec.Directory.ShareFiles(ctx, base); err != nil {
		return nil, errors.Join(err, spec.Directory.RemoveFiles())
	}
	g := &Guest{spec: spec}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.Stop(g))
		}
	}()
	if g.slot, err = h.acquireSlot(ctx, spec); err != nil {
		return nil, err
	}
	g.envd = envdclient.New(g.slot.Address())
	if err := h.serveVolumes(ctx, g); err != nil {
		return nil, err
	}
	if g.group, err = h.config.Cgroups.Create(spec.ID, h.limits(spec)); err != nil {
		return nil, err
	}
	if err := h.startMachine(ctx, g, base); err != nil {
		return nil, err
	}
	return g, g.become(ctx, identity, base.Secret)
}

// acquireSlot takes a network slot with the guest's policy in force, before its first
// packet.
func (h *Host) acquireSlot(ctx context.Context, spec Spec) (*network.Slot, error) {
	slot, err := h.config.Network.Acquire(ctx, true)
	if err != nil {
		return nil, err
	}
	if spec.Policy == nil {
		return slot, nil
	}
	if err := slot.Apply(ctx, spec.Policy); err != nil {
		h.config.Network.Release(slot)
		return nil, err
	}
	return slot, nil
}

// startMachine restores the VM, or boots it where there is no memory.
func (h *Host) startMachine(ctx context.Context, g *Guest, base *snapshot.Snapshot) (err error) {
	if base.DiskOnly {
		return h.bootMachine(ctx, g, base)
	}
	from := base.State()
	from.MemoryPath = g.spec.Directory.Memory()
	g.machine, err = h.config.Driver.Restore(ctx, g.machineSpec(), from)
	return err
}

// hasLayers reports whether disks are images with layers.
func (h *Host) hasLayers() bool { return vmm.CapabilitiesOf(h.config.Driver).Layers }

// checkDisk refuses the disk of another kind of driver, which this one cannot start from:
// the error of memory that it cannot restore.
func (h *Host) checkDisk(base *snapshot.Snapshot) error {
	if base.Layered == h.hasLayers() {
		return nil
	}
	madeBy := base.MadeBy
	if madeBy == (vmm.Maker{}) {
		madeBy = vmm.Maker{Driver: "qemu", Accelerator: "any accelerator"}
		if base.Layered {
			madeBy = vmm.Maker{Driver: "gvisor", Accelerator: "systrap"}
		}
	}
	return &vmm.IncompatibleError{MadeBy: madeBy, Here: vmm.Maker{Driver: h.config.Driver.Name(), Accelerator: h.config.Driver.Accelerator()}}
}

func (g *Guest) machineSpec() vmm.Spec {
	return vmm.Spec{
		Name:             g.spec.ID,
		RunDir:           g.spec.Directory.Run(),
		User:             g.slot.User(),
		VCPUCount:        g.spec.VCPUCount,
		MemoryMiB:        g.spec.MemoryMiB,
		DiskPath:         g.spec.Directory.Disk(),
		DirectoryPath:    g.spec.Directory.Wrenn(),
		DiskMiB:          g.spec.DiskMiB,
		NetworkNamespace: g.slot.Namespace(),
		TapDevice:        g.slot.GuestDevice(),
		GuestMAC:         network.GuestMAC,
		Cgroup:           g.group.Directory(),
	}
}

// Assign gives a guest that was held ready, stopped, to a sandbox, whose directory the
// guest's was renamed to. It puts the policy in force, serves the volumes, starts the
// virtual CPUs and gives the guest its identity, in this order. On error the caller stops
// the guest.
func (h *Host) Assign(ctx context.Context, g *Guest, spec Spec, identity Identity) error {
	if spec.Policy == nil && g.spec.Policy != nil {
		var err error
		if spec.Policy, err = egress.Parse(egress.Spec{}); err != nil {
			return err
		}
	}
	g.spec = spec
	if spec.Policy != nil {
		if err := g.slot.Apply(ctx, spec.Policy); err != nil {
			return err
		}
	}
	if err := h.serveVolumes(ctx, g); err != nil {
		return err
	}
	if err := g.machine.Resume(ctx); err != nil {
		return err
	}
	return g.become(ctx, identity, g.secret)
}

// HangUp ends every connection to the guest, those to its agent in order.
func (h *Host) HangUp(ctx context.Context, g *Guest) {
	drained, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	h.config.Traffic.Drain(drained, g.spec.ID)
	h.config.Traffic.Disconnect(g.spec.ID)
}

// drainTimeout is how long a client may take to read what the agent has sent.
const drainTimeout = 500 * time.Millisecond

// Stop ends a VM and frees what it held, its live disk included. It takes no context,
// because it always has to be completed.
func (h *Host) Stop(g *Guest) error {
	return errors.Join(h.Free(g), g.spec.Directory.RemoveFiles())
}

// Free is Stop that leaves the guest's files.
func (h *Host) Free(g *Guest) error {
	ctx, cancel := context.WithTimeout(context.Background(), StopTimeout)
	defer cancel()
	var err error
	if g.machine != nil {
		err = g.machine.Kill(ctx)
	}
	err = errors.Join(err, g.group.Remove(ctx))
	h.config.Traffic.Disconnect(g.spec.ID)
	g.StopServing()
	if g.slot != nil {
		h.config.Network.Release(g.slot)
	}
	return err
}
