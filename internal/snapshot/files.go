package snapshot

import "cmp"

// Names of a snapshot's files.
const (
	memoryFile   = "memory"
	devicesFile  = "devices"
	diskFile     = "disk"
	manifestFile = "manifest.json"
	// beforeStartFile is the disk as it was before the start command of a build ran.
	beforeStartFile = "disk-before-start"
	// layerFile and wrennFile are there where Manifest.Layered.
	layerFile = "layer"
	wrennFile = "wrenn"
)

// files are the names of all files of a snapshot.
func (s *Snapshot) files() []string {
	names := []string{cmp.Or(s.stored.name, diskFile), manifestFile}
	if s.Layered {
		names = append(names, layerFile, wrennFile)
	}
	if !s.DiskOnly {
		names = append([]string{memoryFile, devicesFile}, names...)
		if s.Start.Runs() {
			names = append(names, beforeStartFile)
		}
	}
	return names
}

// sizes are the sizes of files where they are known, in bytes.
func (s *Snapshot) sizes() map[string]int64 {
	if s.Layered {
		return s.FileBytes
	}
	known := map[string]int64{cmp.Or(s.stored.name, diskFile): int64(cmp.Or(s.stored.diskMiB, s.DiskMiB)) << 20}
	if !s.DiskOnly {
		known[memoryFile] = int64(s.MemoryMiB) << 20
	}
	return known
}
