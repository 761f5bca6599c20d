package hostagent

import "path/filepath"

// Chosen is which driver an agent has chosen for a data directory, and on what.
type Chosen struct {
	Driver, Accelerator string
	// Reason is why guests are not on KVM; empty where they are.
	Reason string
}

// choicePath is where an agent keeps what it has chosen.
func choicePath(dataDir string) string { return filepath.Join(dataDir, "accelerator.json") }

// ReadChosen returns what an agent has chosen for a data directory; the zero value before
// the first start.
func ReadChosen(dataDir string) (Chosen, error) {
	known, err := readChoice(choicePath(dataDir))
	if err != nil || known == (choice{}) {
		return Chosen{}, err
	}
	chosen := Chosen{Driver: known.Driver, Accelerator: known.Accelerator, Reason: known.Reason}
	if chosen.Driver == "" {
		chosen.Driver = DriverQEMU
	}
	return chosen, nil
}
