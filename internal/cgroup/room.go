package cgroup

import (
	"math"
	"os"
	"path/filepath"
	"strings"
)

// MemoryRoom is how many bytes of memory the limits of the surrounding groups leave, such
// as that of the container that the agent is in. limited is false without such limits.
func (r *Root) MemoryRoom() (room uint64, limited bool) {
	if r.mount == "" {
		return 0, false
	}
	from := r.path
	if from == "" {
		from = filepath.Join(r.mount, ownPath())
	}
	room = math.MaxUint64
	for directory := from; len(directory) >= len(r.mount); directory = filepath.Dir(directory) {
		if left, bounded := roomIn(directory); bounded {
			room, limited = min(room, left), true
		}
	}
	return room, limited
}

// roomIn is what one group's limit leaves. Cached files that were not used lately count as
// free.
func roomIn(directory string) (uint64, bool) {
	limit, err := os.ReadFile(filepath.Join(directory, "memory.max"))
	if err != nil || strings.TrimSpace(string(limit)) == "max" {
		return 0, false
	}
	current, err := os.ReadFile(filepath.Join(directory, "memory.current"))
	if err != nil {
		return 0, false
	}
	stat, _ := os.ReadFile(filepath.Join(directory, "memory.stat"))
	used := parseNumber(current)
	used -= min(used, valueOf(stat, "inactive_file "))
	most := parseNumber(limit)
	return most - min(most, used), true
}

// ownPath is this process's group, below the mount.
// Source: cgroups(7), /proc/pid/cgroup.
func ownPath() string {
	content, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(content)) {
		if path, found := strings.CutPrefix(strings.TrimSpace(line), "0::"); found {
			return path
		}
	}
	return ""
}
