package firecracker

import (
	"context"
	"errors"
	"fmt"

	"github.com/firecracker-microvm/firecracker-go-sdk/client/models"
	"github.com/firecracker-microvm/firecracker-go-sdk/client/operations"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// Snapshot makes Firecracker write device state, and changed memory into the copy of the
// memory that the machine was started from.
//
// Each snapshot empties Firecracker's record of changed pages. From the second snapshot
// on, the kernel's page map tells what changed since the start; a booted machine's
// memory, which no file backs, is then written in full.
func (m *machine) Snapshot(ctx context.Context, into vmm.State) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("snapshot %s: %w", m.name, err)
		}
	}()
	kind, again := models.SnapshotCreateParamsSnapshotTypeDiff, m.recorded
	if again && !m.restored {
		kind = models.SnapshotCreateParamsSnapshotTypeFull
	}
	if err := m.write(ctx, kind, into); err != nil {
		return err
	}
	// Firecracker may still have the file open that it wrote to.
	if err := disk.Renew(into.MemoryPath); err != nil {
		return err
	}
	if again && m.restored {
		return m.memory.WriteChanges(ctx, m.process.ID, into.MemoryPath)
	}
	return nil
}

// write makes Firecracker write into files that are lent to it.
func (m *machine) write(ctx context.Context, kind string, into vmm.State) (err error) {
	if err := m.jail.remove(jailMemoryTarget, jailDevicesTarget); err != nil {
		return err
	}
	if err := m.jail.lend(into.MemoryPath, jailMemoryTarget); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, m.jail.takeBack(into.MemoryPath, jailMemoryTarget), m.jail.remove(jailDevicesTarget))
	}()
	m.recorded = true
	err = m.call(ctx, "write the snapshot", func() error {
		return send(m.api.CreateSnapshot, &operations.CreateSnapshotParams{Context: ctx, Body: &models.SnapshotCreateParams{
			SnapshotType: kind, SnapshotPath: new(jailDevicesTarget), MemFilePath: new(jailMemoryTarget),
		}})
	})
	if err != nil {
		return err
	}
	return m.jail.copyOut(jailDevicesTarget, into.DevicesPath)
}
