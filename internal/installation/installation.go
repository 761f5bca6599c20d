// Package installation has the facts of a Wrenn installation that several of its
// programs need: where its files are, and its name.
package installation

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
)

const (
	// DefaultDataDir holds everything that must survive a restart.
	DefaultDataDir = "/var/lib/wrenn"
	// DefaultCacheDir holds guest images, which can be built again.
	DefaultCacheDir = "/var/cache/wrenn"
)

// FindEnvd returns the path of the guest agent's binary: the configured one, or else
// the file envd beside the running program.
func FindEnvd(configured string) (string, error) {
	if configured != "" {
		return filepath.Abs(configured)
	}
	program, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find envd: %w", err)
	}
	return filepath.Join(filepath.Dir(program), "envd"), nil
}

// AgentSocket is where the host agent of a data directory serves the control plane.
func AgentSocket(dataDir string) string { return filepath.Join(dataDir, "run", "host-agent.sock") }

// TrafficSocket is where the host agent of a data directory serves the traffic of its
// sandboxes.
func TrafficSocket(dataDir string) string { return filepath.Join(dataDir, "run", "host-traffic.sock") }

// nameBytes is how many random bytes a name has, written in hexadecimal.
const nameBytes = 8

func namePath(dataDir string) string { return filepath.Join(dataDir, "installation") }

// ReadName returns the name of a data directory's installation, which distinguishes its
// control groups from those of other installations on the machine. It is empty if the
// host agent has not started there yet.
func ReadName(dataDir string) (string, error) {
	content, err := os.ReadFile(namePath(dataDir))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the installation's name: %w", err)
	}
	return strings.TrimSpace(string(content)), nil
}

// EnsureName returns the name of a data directory's installation, and makes one if it
// has none that can name a control group.
func EnsureName(dataDir string) (string, error) {
	name, err := ReadName(dataDir)
	if err != nil || isDirectoryName(name) {
		return name, err
	}
	random := make([]byte, nameBytes)
	_, _ = rand.Read(random) // never fails
	name = hex.EncodeToString(random)
	if err := disk.WriteFile(namePath(dataDir), []byte(name+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write the installation's name: %w", err)
	}
	return name, nil
}

// isDirectoryName reports whether a name is that of a visible directory, not a path.
func isDirectoryName(name string) bool {
	return name != "" && filepath.Base(name) == name && name[0] != '.'
}
