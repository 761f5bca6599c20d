// Package postgres runs a private PostgreSQL cluster with the programs of Debian's
// packages. It listens only on a Unix socket in a directory of its own.
package postgres

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// installations is the directory of Debian's programs of each major version.
const installations = "/usr/lib/postgresql"

// ErrNotInstalled is returned when no server programs are found.
var ErrNotInstalled = errors.New("PostgreSQL is not installed; run: apt-get install postgresql")

// Installation is one major version's programs.
type Installation struct {
	Major int
	// Bin holds initdb and postgres.
	Bin string
}

// FindInstallation returns the newest PostgreSQL installed.
func FindInstallation() (Installation, error) {
	entries, err := os.ReadDir(installations)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return Installation{}, fmt.Errorf("look for PostgreSQL: %w", err)
	}
	var found []Installation
	for _, entry := range entries {
		major, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if installation, err := installationOf(major); err == nil {
			found = append(found, installation)
		}
	}
	if len(found) == 0 {
		return Installation{}, ErrNotInstalled
	}
	return slices.MaxFunc(found, func(a, b Installation) int { return a.Major - b.Major }), nil
}

// installationFor returns the programs of the version that made a cluster, or the
// newest if there is no cluster yet.
func installationFor(dataDir string) (Installation, error) {
	content, err := os.ReadFile(filepath.Join(dataDir, "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		return FindInstallation()
	}
	if err != nil {
		return Installation{}, fmt.Errorf("read the cluster's version: %w", err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return Installation{}, fmt.Errorf("read the cluster's version: %w", err)
	}
	installation, err := installationOf(major)
	if err != nil {
		return Installation{}, fmt.Errorf("the database was made by PostgreSQL %d, which is not installed (%w); run: apt-get install postgresql-%d", major, err, major)
	}
	return installation, nil
}

func installationOf(major int) (Installation, error) {
	bin := filepath.Join(installations, strconv.Itoa(major), "bin")
	for _, program := range []string{"initdb", "postgres"} {
		if _, err := os.Stat(filepath.Join(bin, program)); err != nil {
			return Installation{}, err
		}
	}
	return Installation{Major: major, Bin: bin}, nil
}
