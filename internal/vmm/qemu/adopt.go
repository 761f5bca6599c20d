package qemu

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// Adopt takes over a QEMU that an earlier process started. Its monitor accepts a new
// client when the last one has disconnected.
func (d *Driver) Adopt(ctx context.Context, spec vmm.Spec, memoryPath string, identity vmm.Process) (_ vmm.Machine, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("adopt QEMU of %s: %w", spec.Name, err)
		}
	}()
	memory, err := vmm.IdentifyMemory(memoryPath, spec.MemoryMiB)
	if err != nil {
		return nil, err
	}
	watched, err := vmm.WatchAdopted(identity, "QEMU")
	if err != nil {
		return nil, err
	}
	m := &machine{
		name: spec.Name, process: watched, memory: memory,
		maker: vmm.Maker{Driver: d.Name(), Accelerator: d.accelerator}, // its version is unknown
	}
	if m.monitor, err = openMonitor(filepath.Join(spec.RunDir, monitorSocket), watched.Done()); err != nil {
		watched.Release()
		return nil, err
	}
	if _, err := m.status(ctx); err != nil {
		m.Release()
		return nil, err
	}
	return m, nil
}

// Processes finds every QEMU that has its disk below directory.
func (d *Driver) Processes(directory string) ([]vmm.Process, error) {
	sign := []byte(",filename=" + escape(filepath.Clean(directory)) + "/")
	return vmm.FindProcesses(func(id string) bool {
		arguments, err := os.ReadFile(filepath.Join("/proc", id, "cmdline"))
		return err == nil && isOurs(arguments, sign)
	})
}

func isOurs(arguments, sign []byte) bool {
	program, _, _ := bytes.Cut(arguments, []byte{0})
	return filepath.Base(string(program)) == Binary && bytes.Contains(arguments, sign)
}
