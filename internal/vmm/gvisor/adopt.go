package gvisor

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// Adopt takes over a sandbox that an earlier process started.
func (d *Driver) Adopt(ctx context.Context, spec vmm.Spec, _ string, identity vmm.Process) (_ vmm.Machine, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("adopt runsc of %s: %w", spec.Name, err)
		}
	}()
	watched, err := vmm.WatchAdopted(identity, "runsc")
	if err != nil {
		return nil, err
	}
	maker := d.Maker()
	version, err := os.ReadFile(filepath.Join(spec.RunDir, versionFile))
	if err != nil {
		watched.Release()
		return nil, err
	}
	maker.Version = string(version)
	m := &machine{name: spec.Name, process: watched, maker: maker, vcpuCount: spec.VCPUCount, memoryMiB: spec.MemoryMiB}
	if m.control, err = openControl(spec.RunDir, watched.Done()); err != nil {
		m.Release()
		return nil, err
	}
	if err := m.learnPaused(ctx); err != nil {
		m.Release()
		return nil, err
	}
	return m, nil
}

// Processes finds every sandbox that has its run directory below directory.
func (d *Driver) Processes(directory string) ([]vmm.Process, error) {
	sign := []byte("\x00--root=" + filepath.Clean(directory) + "/")
	return vmm.FindProcesses(func(id string) bool {
		arguments, err := os.ReadFile(filepath.Join("/proc", id, "cmdline"))
		return err == nil && isOurs(arguments, sign)
	})
}

func isOurs(arguments, sign []byte) bool {
	return bytes.HasPrefix(arguments, []byte(processName+"\x00")) && bytes.Contains(arguments, sign) && bytes.Contains(arguments, []byte("\x00boot\x00"))
}
