package guest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

const (
	// bootTimeout bounds one boot, until the guest's agent answers.
	bootTimeout = 60 * time.Second
	// bootAttempts: under software emulation on a busy host, some kernels hang now and
	// then while they measure their clocks.
	bootAttempts = 3
)

// bootMachine starts a guest of which only the disk was kept, and waits for its agent.
func (h *Host) bootMachine(ctx context.Context, g *Guest, base *snapshot.Snapshot) error {
	for attempt := 1; ; attempt++ {
		err := h.bootOnce(ctx, g)
		if err == nil || attempt == bootAttempts || ctx.Err() != nil {
			return err
		}
		h.config.Log.WarnContext(ctx, "sandbox did not boot, trying again", "sandbox", g.spec.ID, "attempt", attempt, "error", err)
		if err := g.endBoot(ctx, base); err != nil {
			return err
		}
	}
}

func (h *Host) bootOnce(ctx context.Context, g *Guest) (err error) {
	how := h.boot.Load()
	if how == nil {
		return errors.New("the host agent has no guest image yet")
	}
	boot := *how
	boot.MemoryPath = g.spec.Directory.Memory()
	if h.hasLayers() {
		boot.LayerPath = g.spec.Directory.Layer()
	}
	if g.machine, err = h.config.Driver.Boot(ctx, g.machineSpec(), boot); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, bootTimeout)
	defer cancel()
	heard := g.listen(ctx)
	err = g.unlessDead(ctx, g.envd.AwaitHealthy)
	console := heard()
	if err != nil {
		return &BootError{Words: lastWords(console), Cause: fmt.Errorf("wait for the guest to boot: %w", err)}
	}
	return nil
}

// endBoot ends a VM that did not boot, and restores the disk for the next attempt.
func (g *Guest) endBoot(ctx context.Context, base *snapshot.Snapshot) error {
	if g.machine != nil {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), StopTimeout)
		defer cancel()
		if err := g.machine.Kill(ending); err != nil {
			return err
		}
		g.machine = nil
	}
	return errors.Join(g.spec.Directory.RemoveDisk(), g.spec.Directory.ShareDisk(ctx, base))
}
