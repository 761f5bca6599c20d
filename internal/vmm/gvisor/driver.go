// Package gvisor runs guests by gVisor: runsc is the guest's kernel, and a process of the
// host's. Where no virtual machine runs at the machine's own speed, it does.
//
// The root file system is an EROFS image, which is never written to and which all guests
// of a template share. What a guest changes is in a layer over it, in a file without a
// name; a snapshot's memory has it too, and SaveLayer writes it as a tar. The snapshot is
// runsc's checkpoint: its pages are the memory file, the rest is the file of devices.
package gvisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// Name is the driver's name.
const Name = "gvisor"

// Accelerator is how guest code runs: by runsc's platform of that name.
const Accelerator = "systrap"

// Binary is runsc's file name.
const Binary = "runsc"

// Driver starts sandboxes with one runsc.
type Driver struct {
	binary  string
	version string
	link    link
	log     *slog.Logger
}

var _ vmm.Driver = (*Driver)(nil)

// ErrNotInstalled is returned where there is no runsc.
var ErrNotInstalled = errors.New("runsc is not installed")

// Open makes a driver of the runsc beside the running program, or else of that in PATH.
func Open(ctx context.Context, log *slog.Logger) (*Driver, error) {
	if own, err := os.Executable(); err == nil {
		if path := filepath.Join(filepath.Dir(own), Binary); isProgram(path) {
			return New(ctx, path, log)
		}
	}
	path, err := exec.LookPath(Binary)
	if err != nil {
		return nil, fmt.Errorf("the driver is gvisor: %w: put it beside the host agent, where make build puts it, or into PATH", ErrNotInstalled)
	}
	return New(ctx, path, log)
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

// New makes a driver of a runsc.
func New(ctx context.Context, binary string, log *slog.Logger) (*Driver, error) {
	link, err := guestLink()
	if err != nil {
		return nil, err
	}
	output, err := exec.CommandContext(ctx, binary, "--version").Output()
	if err != nil {
		return nil, fmt.Errorf("ask runsc for its version: %w", err)
	}
	line, _, _ := strings.Cut(string(output), "\n")
	version, found := strings.CutPrefix(line, "runsc version ")
	if !found || version == "" {
		return nil, fmt.Errorf("ask runsc for its version: %s printed %q", binary, line)
	}
	return &Driver{binary: binary, version: version, link: link, log: log}, nil
}

// Name returns the driver's name.
func (d *Driver) Name() string { return Name }

// Accelerator returns the platform's name.
func (d *Driver) Accelerator() string { return Accelerator }

// Capabilities are the driver's.
func (d *Driver) Capabilities() vmm.Capabilities { return vmm.Capabilities{Layers: true} }

// Maker is the MadeBy of this driver's snapshots.
func (d *Driver) Maker() vmm.Maker {
	return vmm.Maker{Driver: Name, Accelerator: Accelerator, Version: d.version, ExactVersion: true}
}

// launch is how a sandbox is started.
type launch struct {
	directoryPath string // EROFS image of Wrenn's directory
	layerPath     string // empty for none
	diskMiB       int    // what the layer may hold; 0 for no limit
}

// rootMount describes the root: an EROFS image under a layer in a file.
func (l launch) rootMount() string {
	if l.diskMiB > 0 {
		return fmt.Sprintf("erofs:anon:size=%dm", l.diskMiB)
	}
	return "erofs:anon"
}

// Boot starts a guest from its disk and layer.
func (d *Driver) Boot(ctx context.Context, spec vmm.Spec, boot vmm.Boot) (vmm.Machine, error) {
	how := launch{directoryPath: spec.DirectoryPath, layerPath: boot.LayerPath, diskMiB: spec.DiskMiB}
	return d.start(ctx, spec, how, func(m *machine) error {
		if err := d.connectNetwork(ctx, m, spec, false); err != nil {
			return err
		}
		return m.control.call(ctx, callStart, containerID, nil, nil)
	})
}

// Restore starts a guest from a checkpoint.
func (d *Driver) Restore(ctx context.Context, spec vmm.Spec, from vmm.State) (vmm.Machine, error) {
	if err := d.Maker().Restores(from.MadeBy); err != nil {
		return nil, err
	}
	restored, err := openCheckpoint(spec, from)
	if err != nil {
		return nil, fmt.Errorf("restore %s: %w", spec.Name, err)
	}
	defer restored.close()
	how := launch{directoryPath: spec.DirectoryPath, diskMiB: spec.DiskMiB}
	return d.start(ctx, spec, how, func(m *machine) error {
		if err := d.connectNetwork(ctx, m, spec, true); err != nil {
			return err
		}
		return restored.load(ctx, m.control)
	})
}

// start starts a sandbox and tells it what to run.
func (d *Driver) start(ctx context.Context, spec vmm.Spec, how launch, run func(*machine) error) (_ vmm.Machine, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("start runsc for %s: %w", spec.Name, err)
		}
	}()
	if spec.User <= 0 {
		return nil, vmm.ErrNoUser
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m, started, err := d.spawn(spec, how)
	if err != nil {
		return nil, err
	}
	err = m.awaitStarted(ctx, started)
	if err == nil {
		err = run(m)
	}
	if err == nil {
		return m, nil
	}
	select {
	case <-m.process.Done():
		err = errors.Join(err, errors.New(m.process.Reason()))
	default:
	}
	output := vmm.OutputEnd(m.output)
	if killErr := m.Kill(context.WithoutCancel(ctx)); killErr != nil {
		d.log.ErrorContext(ctx, "kill a sandbox that did not start", "sandbox", spec.Name, "error", killErr)
	}
	return nil, fmt.Errorf("%w (runsc printed: %s)", err, output)
}

// connectNetwork gives the sandbox the frames of its device.
func (d *Driver) connectNetwork(ctx context.Context, m *machine, spec vmm.Spec, restored bool) error {
	mac, err := parseMAC(spec.GuestMAC)
	if err != nil {
		return err
	}
	device, err := openPacketLink(spec.NetworkNamespace, spec.TapDevice)
	if err != nil {
		return err
	}
	defer device.socket.Close()
	return m.control.call(ctx, callSetNetwork, d.link.arguments(mac, device, restored), []*os.File{device.socket}, nil)
}
