package guest

import (
	"context"
	"fmt"

	"git.omukk.dev/wrenn/sandbox/internal/envdclient"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/record"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// NewAdopted makes the Guest of a VM that an earlier agent started, for Adopt. identity is
// what the agent in it was told last.
func NewAdopted(spec Spec, kept record.Running, identity Identity) *Guest {
	return &Guest{spec: spec, secret: kept.Secret, told: identity}
}

// Adopt takes over a VM that ran on without a host agent, and lets it run: it may stand
// still for a pause, or for want of room. It can be called again after an error; what it
// has found then it does not look for again. vmm.ErrNotRunning means that the VM has
// ended.
func (h *Host) Adopt(ctx context.Context, g *Guest, kept record.Running) (err error) {
	if !kept.Process.Runs() {
		return fmt.Errorf("%w: no host agent saw it end", vmm.ErrNotRunning)
	}
	if g.slot == nil {
		if g.slot, err = h.config.Network.Adopt(kept.Slot); err != nil {
			return err
		}
		g.envd = envdclient.New(g.slot.Address())
	}
	if g.group == nil {
		if g.group, err = h.config.Cgroups.Find(kept.Cgroup); err != nil {
			return err
		}
	}
	if g.machine, err = h.config.Driver.Adopt(ctx, g.machineSpec(), g.spec.Directory.Memory(), kept.Process); err != nil {
		g.machine = nil
		return err
	}
	if err := g.machine.Resume(ctx); err != nil {
		g.machine.Release() // its monitor takes one client at a time
		g.machine = nil
		return err
	}
	return nil
}

// Restore brings back what ended with the earlier host agent: the server of the volumes,
// whose calls have waited since then, and the gateway of a policy that decides by name.
// Where it cannot, the guest reaches nothing by name.
func (h *Host) Restore(ctx context.Context, g *Guest) {
	if err := h.serveVolumes(ctx, g); err != nil {
		h.config.Log.ErrorContext(ctx, "serve the volumes of a sandbox again", "sandbox", g.spec.ID, "error", err)
	}
	if g.spec.Policy == nil {
		return
	}
	if err := g.slot.Apply(ctx, g.spec.Policy); err != nil {
		h.config.Log.ErrorContext(ctx, "restore the network policy of a sandbox", "sandbox", g.spec.ID, "error", err)
	}
}

// LetGo forgets a guest and leaves everything of it as it is, for another Adopt.
func (g *Guest) LetGo() {
	if g.machine != nil {
		g.machine.Release()
	}
	g.group.Release()
}
