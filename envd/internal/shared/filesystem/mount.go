package filesystem

import (
	"fmt"
	"os"
	"strings"
)

// MountTable lists what this process sees mounted.
const MountTable = "/proc/self/mountinfo"

// Mount is a line of the table of mounts.
type Mount struct {
	Path   string // the mount point
	Type   string // of the file system, as in "ext4"
	Source string // device or server
}

// ReadMounts reads a table of mounts. A later mount covers an earlier one at the same
// path. Reading the table does not ask any file system, which could wait without
// end for a server that is gone.
func ReadMounts(table string) ([]Mount, error) {
	content, err := os.ReadFile(table)
	if err != nil {
		return nil, fmt.Errorf("read the table of mounts: %w", err)
	}
	return parseMounts(string(content)), nil
}

// parseMounts reads lines of six fields, the fifth of them the mount point, optional
// fields up to a dash, then the type and the source.
// Source: proc_pid_mountinfo(5).
func parseMounts(text string) []Mount {
	const mountPoint = 4
	var all []Mount
	for line := range strings.Lines(text) {
		place, device, found := strings.Cut(line, " - ")
		fields, origin := strings.Fields(place), strings.Fields(device)
		if !found || len(fields) <= mountPoint || len(origin) < 2 {
			continue
		}
		all = append(all, Mount{Path: unescape.Replace(fields[mountPoint]), Type: origin[0], Source: unescape.Replace(origin[1])})
	}
	return all
}

var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
