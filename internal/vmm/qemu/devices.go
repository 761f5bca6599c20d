package qemu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// record is where a QEMU writes the state of CPUs and devices: a file in memory,
// the same for all its snapshots, since while it is paused it gives back no file
// that it was lent. What it wrote is copied, so that it never has a snapshot's
// own file to write to.
// Source: QEMU's monitor/fds.c, monitor_fdset_cleanup.
type record struct {
	set    int      // QEMU's number for it
	reader *os.File // ours alone
	writer *os.File // QEMU's too, its offset included
}

func makeRecord() (*record, error) {
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
	return &record{reader: reader, writer: writer}, nil
}

func (r *record) clear() error {
	if err := r.reader.Truncate(0); err != nil {
		return err
	}
	_, err := r.writer.Seek(0, io.SeekStart)
	return err
}

// copyTo copies what was written to a file of ours.
func (r *record) copyTo(path string) error {
	const mostBytes = 16 << 20 // a record of devices takes some tens of KB
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	written, err := io.Copy(file, io.NewSectionReader(r.reader, 0, mostBytes))
	if err == nil && (written == 0 || written == mostBytes) {
		err = fmt.Errorf("QEMU wrote %d bytes of device state", written)
	}
	return errors.Join(err, file.Close())
}

func (r *record) close() {
	r.reader.Close()
	r.writer.Close()
}

// lendRecord makes sure that QEMU has the record. It has not at first, and gives
// it back when its monitor's client leaves while the guest runs.
func (m *machine) lendRecord(ctx context.Context) (err error) {
	type set struct {
		ID int `json:"fdset-id"`
	}
	if m.record == nil {
		if m.record, err = makeRecord(); err != nil {
			return err
		}
	} else {
		var sets []set
		if err := m.monitor.execute(ctx, "query-fdsets", nil, &sets); err != nil {
			return err
		}
		for _, known := range sets {
			if known.ID == m.record.set {
				return nil
			}
		}
	}
	var added set
	if err := m.monitor.executeWithFile(ctx, "add-fd", nil, m.record.writer, &added); err != nil {
		return err
	}
	m.record.set = added.ID
	return nil
}

// saveDevices has QEMU write the state of CPUs and devices, and copies it to path.
func (m *machine) saveDevices(ctx context.Context, path string) error {
	if err := m.lendRecord(ctx); err != nil {
		return err
	}
	if err := m.record.clear(); err != nil {
		return err
	}
	target := map[string]any{"filename": fmt.Sprintf("/dev/fdset/%d", m.record.set), "live": false}
	if err := m.execute(ctx, "xen-save-devices-state", target); err != nil {
		return err
	}
	return errors.Join(m.record.copyTo(path), m.record.clear())
}
