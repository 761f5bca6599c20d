package size

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"strings"

	"git.omukk.dev/wrenn/sandbox/internal/sandbox/admission"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

// keyOf stands for what a size is made of. Builds that were finished from the same have the
// same.
func keyOf(base *snapshot.Snapshot) string {
	const hexDigits = 32
	return fmt.Sprintf("%x", sha256.Sum256([]byte(cmp.Or(base.FinishKey, base.BuildID))))[:hexDigits]
}

// nameOf names a size.
func nameOf(base *snapshot.Snapshot, size admission.Size) string {
	return fmt.Sprintf("%s-%dx%dx%d", keyOf(base), size.VCPUCount, size.MemoryMiB, size.DiskMiB)
}

// baseOf is the key in a name.
func baseOf(name string) string {
	key, _, _ := strings.Cut(name, "-")
	return key
}

// newDirectory is where a size is made. No two have the same: an earlier one may be about to
// be removed.
func (s *Store) newDirectory(name string) string {
	return filepath.Join(s.config.Directory, name+"-"+strings.ToLower(rand.Text()))
}

// nameIn is the name of the size in a directory.
func nameIn(directory string) string {
	return directory[:max(strings.LastIndexByte(directory, '-'), 0)]
}

// bases are the builds of the host by their keys.
func (s *Store) bases() map[string]*snapshot.Snapshot {
	found := make(map[string]*snapshot.Snapshot)
	for _, build := range s.config.Builds.All() {
		found[keyOf(build)] = build
	}
	return found
}
