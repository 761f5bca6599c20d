package vmm

import "fmt"

// Maker is what made a snapshot. The zero value means unknown: old snapshots do not
// record it.
type Maker struct {
	Driver      string `json:"driver"`
	Accelerator string `json:"accelerator"`
	// Version is the VMM's own name for its version, for messages. It is empty for an
	// adopted machine.
	Version string `json:"version,omitempty"`
	// ExactVersion: memory restores with the same version only. Then Version is never
	// empty.
	ExactVersion bool `json:"exactVersion,omitempty"`
}

func (m Maker) String() string {
	text := m.Driver + " under " + m.Accelerator
	if m.Version != "" {
		text += " (" + m.Version + ")"
	}
	return text
}

// IncompatibleError is returned for a snapshot of another driver or accelerator, or of
// another version where that matters, whose record of CPUs and devices this one cannot
// read.
type IncompatibleError struct {
	MadeBy Maker
	Here   Maker
}

func (e *IncompatibleError) Error() string {
	if e.MadeBy.Driver == e.Here.Driver && e.MadeBy.Accelerator == e.Here.Accelerator {
		return fmt.Sprintf("the snapshot's memory was saved by %s and restores in that version only, not with %s: "+
			"resume it without its memory, or on a host with that version", e.MadeBy, e.Here)
	}
	advice := fmt.Sprintf("resume it on a host that runs %s under %s", e.MadeBy.Driver, e.MadeBy.Accelerator)
	if e.MadeBy.Driver != e.Here.Driver {
		advice += fmt.Sprintf(", or start this host's agent with --driver %s", e.MadeBy.Driver)
	}
	return fmt.Sprintf("the snapshot was made by %s and does not restore with %s: %s", e.MadeBy, e.Here, advice)
}

// Restores returns an *IncompatibleError if m cannot restore a snapshot that madeBy
// made. Without ExactVersion it accepts every version: the VMM checks that when it loads
// the snapshot.
func (m Maker) Restores(madeBy Maker) error {
	same := madeBy.Driver == m.Driver && madeBy.Accelerator == m.Accelerator
	if madeBy == (Maker{}) || same && (!m.ExactVersion || madeBy.Version == m.Version) {
		return nil
	}
	return &IncompatibleError{MadeBy: madeBy, Here: m}
}
