package snapshot

// Names of a snapshot's files.
const (
	memoryFile   = "memory"
	devicesFile  = "devices"
	diskFile     = "disk"
	manifestFile = "manifest.json"
)

// files are the names of all files of a snapshot.
func (m Manifest) files() []string {
	if m.DiskOnly {
		return []string{diskFile, manifestFile}
	}
	return []string{memoryFile, devicesFile, diskFile, manifestFile}
}

// sizes are the sizes of files where they are known, in bytes.
func (m Manifest) sizes() map[string]int64 {
	known := map[string]int64{diskFile: int64(m.DiskMiB) << 20}
	if !m.DiskOnly {
		known[memoryFile] = int64(m.MemoryMiB) << 20
	}
	return known
}
