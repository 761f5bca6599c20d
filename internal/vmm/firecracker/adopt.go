package firecracker

import (
	"context"
	"fmt"

	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// Adopt takes over a Firecracker that an earlier process started.
func (d *Driver) Adopt(ctx context.Context, spec vmm.Spec, memoryPath string, identity vmm.Process) (_ vmm.Machine, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("adopt Firecracker of %s: %w", spec.Name, err)
		}
	}()
	m := &machine{
		name: spec.Name, recorded: true, // it may have been
		maker: vmm.Maker{Driver: d.Name(), Accelerator: d.Accelerator()}, // its version is unknown
	}
	if m.memory, err = vmm.IdentifyMemory(memoryPath, spec.MemoryMiB); err != nil {
		return nil, err
	}
	if m.process, err = vmm.WatchAdopted(identity, "Firecracker"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			m.process.Release()
		}
	}()
	if m.restored, err = m.memory.IsMappedBy(identity.ID); err != nil {
		return nil, err
	}
	if m.jail, err = findJail(spec); err != nil {
		return nil, err
	}
	if err := m.jail.knowDisk(spec.DiskPath); err != nil {
		m.jail.close()
		return nil, err
	}
	m.api = newAPI()
	if err := m.api.await(ctx, m.jail, m.process.Done()); err != nil {
		m.closeHandles()
		return nil, err
	}
	return m, nil
}
