package qemu

import (
	"context"
	"os"
)

// saveDevices has QEMU write the state of CPUs and devices into a file that we
// open for it: it sees no files of its own any more.
func (m *machine) saveDevices(ctx context.Context, path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	const set, setPath = 1, "/dev/fdset/1"
	identity := map[string]any{"fdset-id": set}
	if err := m.monitor.executeWithFile(ctx, "add-fd", identity, file, nil); err != nil {
		return err
	}
	saveErr := m.execute(ctx, "xen-save-devices-state", map[string]any{"filename": setPath, "live": false})
	if err := m.execute(ctx, "remove-fd", identity); err != nil && saveErr == nil {
		return err
	}
	if saveErr != nil {
		return saveErr
	}
	return file.Close()
}
