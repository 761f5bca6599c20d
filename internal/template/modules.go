package template

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
)

// guestModules are the drivers that the guest agent loads when they are needed:
// those that mount volumes.
var guestModules = []string{"nfsv3"}

// guestModuleDirectory is where the guest agent looks for them.
const guestModuleDirectory = "usr/lib/wrenn/modules"

// installModules writes modules into the root file system, and the order in which
// they can be loaded: the guest has no depmod and needs none.
func installModules(root, unpacked string) error {
	modules, err := findModules(unpacked, guestModules)
	if err != nil {
		return err
	}
	directory := filepath.Join(root, guestModuleDirectory)
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return fmt.Errorf("install the guest's modules: %w", err)
	}
	var order bytes.Buffer
	for _, module := range modules {
		fmt.Fprintln(&order, module.name)
		if err := os.WriteFile(filepath.Join(directory, module.name), module.content, 0o644); err != nil {
			return fmt.Errorf("install the guest's modules: %w", err)
		}
	}
	if err := os.WriteFile(filepath.Join(directory, "order"), order.Bytes(), 0o644); err != nil {
		return fmt.Errorf("install the guest's modules: %w", err)
	}
	return nil
}
