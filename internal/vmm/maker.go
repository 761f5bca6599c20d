package vmm

import "fmt"

// Maker is what made a snapshot. The zero value is not known, as of snapshots
// from before it was written down.
type Maker struct {
	Driver      string `json:"driver"`
	Accelerator string `json:"accelerator"`
	// Version is what the VMM called itself, for people. Of a machine that was
	// adopted it is not known.
	Version string `json:"version,omitempty"`
}

func (m Maker) String() string {
	text := m.Driver + " under " + m.Accelerator
	if m.Version != "" {
		text += " (" + m.Version + ")"
	}
	return text
}

// IncompatibleError is returned for a snapshot that another driver made, or the
// same one with another accelerator: its record of CPUs and devices means
// nothing here.
type IncompatibleError struct {
	MadeBy Maker
	Here   Maker
}

func (e *IncompatibleError) Error() string {
	advice := fmt.Sprintf("resume it on a host that runs %s under %s", e.MadeBy.Driver, e.MadeBy.Accelerator)
	if e.MadeBy.Driver != e.Here.Driver {
		advice += fmt.Sprintf(", or start this host's agent with --driver %s", e.MadeBy.Driver)
	}
	return fmt.Sprintf("the snapshot was made by %s and does not restore with %s: %s", e.MadeBy, e.Here, advice)
}

// Restores says whether what m is of restores a snapshot, by an
// *IncompatibleError if it does not. Whether another version does, only the VMM
// itself can tell.
func (m Maker) Restores(madeBy Maker) error {
	if madeBy == (Maker{}) || madeBy.Driver == m.Driver && madeBy.Accelerator == m.Accelerator {
		return nil
	}
	return &IncompatibleError{MadeBy: madeBy, Here: m}
}
