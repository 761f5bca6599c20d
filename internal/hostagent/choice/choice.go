// Package choice is which driver a host agent runs sandboxes by, as it is remembered in
// the data directory.
package choice

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/gvisor"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/qemu"
)

// Path is where the choice for a data directory is.
func Path(dataDir string) string { return filepath.Join(dataDir, "accelerator.json") }

// Choice is the remembered answer of a probe, valid while Machine is the same.
type Choice struct {
	Machine     string `json:"machine"`
	Accelerator string `json:"accelerator"`
	Reason      string `json:"reason,omitempty"`
	// BootID is set if the answer is valid for one boot of the machine only.
	BootID string `json:"bootId,omitempty"`
	// Driver is the driver that made this data directory's snapshots; empty, as in older
	// files, is QEMU.
	Driver string `json:"driver,omitempty"`
}

// Holds reports whether a remembered answer is valid for this machine and boot. A probe
// that timed out may succeed at another time, so it is repeated after the machine's next
// boot. It is not repeated before that: each probe takes long where KVM hangs, and
// sandboxes paused under emulation resume only under emulation.
func (c Choice) Holds(machine, boot string) bool {
	return c.Machine != "" && c.Machine == machine && (c.BootID == "" || c.BootID == boot)
}

// Read returns what an agent has chosen for a data directory; the zero value before the
// first start.
func Read(path string) (Choice, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return Choice{}, nil
	}
	if err != nil {
		return Choice{}, err
	}
	var known Choice
	if err := json.Unmarshal(content, &known); err != nil {
		return Choice{}, fmt.Errorf("%s: %w", path, err)
	}
	return known, nil
}

// Write remembers a choice.
func Write(path string, answer Choice) error {
	content, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	if err := disk.WriteFile(path, content, 0o600); err != nil {
		return fmt.Errorf("remember the accelerator: %w", err)
	}
	return nil
}

// Summary is which driver runs the sandboxes of a data directory, and on what.
type Summary struct {
	Driver, Accelerator string
	// Reason is why guests are not on KVM; empty where they are, and where it was not tried.
	Reason string
}

// Summarise returns the zero value before the first start.
func Summarise(dataDir string) (Summary, error) {
	known, err := Read(Path(dataDir))
	if err != nil || known == (Choice{}) {
		return Summary{}, err
	}
	summary := Summary{Driver: known.Driver, Accelerator: known.Accelerator, Reason: known.Reason}
	switch summary.Driver {
	case "":
		summary.Driver = qemu.Name
	case gvisor.Name: // for which KVM is not tried; what was found of it is of an earlier driver
		summary.Accelerator, summary.Reason = gvisor.Accelerator, ""
	}
	return summary, nil
}
