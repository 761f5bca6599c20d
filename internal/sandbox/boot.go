package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
)

const (
	// bootTimeout bounds one boot, until the guest's agent answers.
	bootTimeout = 60 * time.Second
	// bootAttempts makes up for kernels that, under software emulation on a
	// busy host, now and then hang while they measure their clocks.
	bootAttempts = 3
)

// boot starts a guest of which only the disk was kept, and waits for its agent.
func (m *Manager) boot(ctx context.Context, s *sandbox, g *guest) error {
	for attempt := 1; ; attempt++ {
		err := m.bootOnce(ctx, s, g)
		if err == nil || attempt == bootAttempts || ctx.Err() != nil {
			return err
		}
		s.logger(m.log).Warn("sandbox did not boot, trying again", "attempt", attempt, "error", err)
		if err := m.endBoot(s, g); err != nil {
			return err
		}
	}
}

func (m *Manager) bootOnce(ctx context.Context, s *sandbox, g *guest) (err error) {
	m.mutex.Lock()
	how := m.cold
	m.mutex.Unlock()
	how.MemoryPath = s.memoryPath()
	if g.machine, err = m.driver.Boot(ctx, s.spec(g), how); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, bootTimeout)
	defer cancel()
	err = g.unlessDead(ctx, g.envd.AwaitHealthy)
	if err != nil {
		return fmt.Errorf("wait for the guest to boot: %w", err)
	}
	return nil
}

// endBoot ends a machine that did not come up, and gives the next one the disk
// as it was.
func (m *Manager) endBoot(s *sandbox, g *guest) error {
	if g.machine != nil {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if err := g.machine.Kill(ctx); err != nil {
			return err
		}
		g.machine = nil
	}
	return errors.Join(os.Remove(s.diskPath()), disk.Clone(s.base.DiskPath(), s.diskPath()))
}

// shareFiles gives the sandbox its own names for what it is started from: the
// disk until it writes, and the memory, which is never written to.
func (s *sandbox) shareFiles() error {
	if err := os.MkdirAll(s.runDir(), 0o700); err != nil {
		return fmt.Errorf("make run directory: %w", err)
	}
	var err error
	if s.base.DiskOnly {
		err = disk.CreateSparse(s.memoryPath(), int64(s.base.MemoryMiB)<<20)
	} else {
		err = os.Link(s.base.State().MemoryPath, s.memoryPath())
	}
	if err != nil {
		return fmt.Errorf("share memory: %w", err)
	}
	return disk.Clone(s.base.DiskPath(), s.diskPath())
}

// removeFiles is the undoing of shareFiles.
func (s *sandbox) removeFiles() error {
	return errors.Join(disk.RemoveIfThere(s.diskPath()), disk.RemoveIfThere(s.memoryPath()), os.RemoveAll(s.runDir()))
}

// start gives the guest a machine: restored, or booted where there is no memory.
func (m *Manager) start(ctx context.Context, s *sandbox, g *guest) (err error) {
	if s.base.DiskOnly {
		return m.boot(ctx, s, g)
	}
	from := s.base.State()
	from.MemoryPath = s.memoryPath()
	g.machine, err = m.driver.Restore(ctx, s.spec(g), from)
	return err
}
