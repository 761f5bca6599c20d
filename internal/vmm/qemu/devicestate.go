package qemu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// deviceState is the file in memory to which QEMU writes the state of CPUs and devices.
// One file serves all snapshots of a machine, because a paused QEMU does not close files
// that it was passed. Its content is copied into the snapshot, so QEMU never has a
// snapshot's file open.
// Source: QEMU's monitor/fds.c, monitor_fdset_cleanup.
type deviceState struct {
	set    int // QEMU's number of its set of descriptors
	reader *os.File
	writer *os.File // shared with QEMU, with its offset
}

func newDeviceState() (*deviceState, error) {
	const name = "devices"
	descriptor, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a file in memory: %w", err)
	}
	reader := os.NewFile(uintptr(descriptor), name)
	writer, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", descriptor), os.O_WRONLY, 0)
	if err != nil {
		return nil, errors.Join(err, reader.Close())
	}
	return &deviceState{reader: reader, writer: writer}, nil
}

func (s *deviceState) clear() error {
	if err := s.reader.Truncate(0); err != nil {
		return err
	}
	_, err := s.writer.Seek(0, io.SeekStart)
	return err
}

// copyTo copies the state into a file.
func (s *deviceState) copyTo(path string) error {
	const maxBytes = 16 << 20 // it takes some tens of KB
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	written, err := io.Copy(file, io.NewSectionReader(s.reader, 0, maxBytes))
	if err == nil && (written == 0 || written == maxBytes) {
		err = fmt.Errorf("QEMU wrote %d bytes of device state", written)
	}
	return errors.Join(err, file.Close())
}

func (s *deviceState) close() {
	s.reader.Close()
	s.writer.Close()
}

// passDeviceState passes the file to QEMU unless QEMU has it. QEMU closes it when its
// monitor's client disconnects while the guest runs.
func (m *machine) passDeviceState(ctx context.Context) (err error) {
	type set struct {
		ID int `json:"fdset-id"`
	}
	if m.devices == nil {
		if m.devices, err = newDeviceState(); err != nil {
			return err
		}
	} else {
		var sets []set
		if err := m.monitor.execute(ctx, "query-fdsets", nil, &sets); err != nil {
			return err
		}
		for _, known := range sets {
			if known.ID == m.devices.set {
				return nil
			}
		}
	}
	var added set
	if err := m.monitor.executeWithFile(ctx, "add-fd", nil, m.devices.writer, &added); err != nil {
		return err
	}
	m.devices.set = added.ID
	return nil
}

// saveDevices makes QEMU write the state of CPUs and devices, and copies it to path.
func (m *machine) saveDevices(ctx context.Context, path string) error {
	if err := m.passDeviceState(ctx); err != nil {
		return err
	}
	if err := m.devices.clear(); err != nil {
		return err
	}
	target := map[string]any{"filename": fmt.Sprintf("/dev/fdset/%d", m.devices.set), "live": false}
	if err := m.execute(ctx, "xen-save-devices-state", target); err != nil {
		return err
	}
	return errors.Join(m.devices.copyTo(path), m.devices.clear())
}
