package gvisor

import (
	"context"
	"errors"
	"fmt"
	"os"

	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// saveOptions are those of pkg/sentry/control/state.go in gVisor, as far as they are used.
type saveOptions struct {
	Metadata map[string]string `json:"metadata"`
	// ExcludeZeroPages leaves out pages that are zero.
	ExcludeZeroPages bool `json:"app_mf_exclude_committed_zero_pages"`
	// HavePagesFile: pages have files of their own, so they can be read when they are
	// needed.
	HavePagesFile bool `json:"have_pages_file"`
	// Resume lets the guest live on.
	Resume bool
}

// restoreOptions are those of runsc/boot/controller.go in gVisor, as far as they are used.
type restoreOptions struct {
	HavePagesFile bool
	// Background reads memory while the guest runs, and what it needs first.
	Background bool
}

// Snapshot writes a paused guest's state. The memory file is written whole.
func (m *machine) Snapshot(ctx context.Context, into vmm.State) error {
	if err := m.running("snapshot"); err != nil {
		return err
	}
	state, err := openScratch("state")
	if err != nil {
		return err
	}
	defer state.Close()
	pages, err := openScratch("pages")
	if err != nil {
		return err
	}
	defer pages.Close()
	memory, err := os.OpenFile(into.MemoryPath, os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("save memory: %w", err)
	}
	defer memory.Close()
	options := saveOptions{
		Metadata: map[string]string{"compression": "none"}, ExcludeZeroPages: true, HavePagesFile: true, Resume: true,
	}
	if err := m.control.call(ctx, callCheckpoint, options, []*os.File{state, pages, memory}, nil); err != nil {
		return fmt.Errorf("save memory: %w", err)
	}
	info, err := memory.Stat()
	if err != nil {
		return err
	}
	header := deviceState{VCPUCount: m.vcpuCount, MemoryMiB: m.memoryMiB, MemoryBytes: info.Size()}
	if err := writeDevices(into.DevicesPath, header, state, pages); err != nil {
		return fmt.Errorf("save device state: %w", err)
	}
	return memory.Close()
}

// SaveLayer writes what the guest has changed of its disk, as a tar.
func (m *machine) SaveLayer(ctx context.Context, path string) (err error) {
	if err := m.running("save the layer"); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("save the layer: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	argument := map[string]string{"ContainerID": containerID}
	if err := m.control.call(ctx, callSaveLayer, argument, []*os.File{file}, nil); err != nil {
		return fmt.Errorf("save the layer: %w", err)
	}
	return nil
}

// checkpoint is the opened files of a snapshot.
type checkpoint struct{ state, pages, memory *os.File }

// openCheckpoint opens a snapshot and checks that it is whole and of such a machine.
func openCheckpoint(spec vmm.Spec, from vmm.State) (*checkpoint, error) {
	header, state, pages, err := readDevices(from.DevicesPath)
	if err != nil {
		return nil, err
	}
	c := &checkpoint{state: state, pages: pages}
	if header.MemoryMiB != spec.MemoryMiB || header.VCPUCount != spec.VCPUCount {
		c.close()
		return nil, fmt.Errorf("the snapshot is of a machine with %d CPUs and %d MiB of memory, not with %d and %d",
			header.VCPUCount, header.MemoryMiB, spec.VCPUCount, spec.MemoryMiB)
	}
	if c.memory, err = os.Open(from.MemoryPath); err != nil {
		c.close()
		return nil, fmt.Errorf("open memory: %w", err)
	}
	info, err := c.memory.Stat()
	if err == nil && info.Size() != header.MemoryBytes {
		err = fmt.Errorf("memory file %s has %d bytes, want %d", from.MemoryPath, info.Size(), header.MemoryBytes)
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *checkpoint) close() { closeAll(c.state, c.pages, c.memory) }

// load restores the sandbox's guest, which runs on return.
func (c *checkpoint) load(ctx context.Context, server control) error {
	return server.call(ctx, callRestore, restoreOptions{HavePagesFile: true, Background: true}, []*os.File{c.state, c.pages, c.memory}, nil)
}
