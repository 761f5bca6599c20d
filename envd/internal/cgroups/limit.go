package cgroups

import (
	"log/slog"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// CPU weights, from 1 to 10000, with 100 as the kernel's default: envd before terminals
// before other commands.
const (
	ownWeight   = "1000"
	ptyWeight   = "200"
	usualWeight = "100"
)

// Memory that commands cannot use, so that the kernel kills one of them when memory runs
// out, and not envd.
const (
	reservePart     = 10 // of all memory
	smallestReserve = 48 << 20
	largestReserve  = 256 << 20
	ownMemory       = 32 << 20 // never taken from envd
)

// limit sets the limits for which the kernel has controllers.
func limit(root string, log *slog.Logger) {
	attempt := func(directory, file, value string) {
		if err := write(filepath.Join(root, directory), file, value); err != nil {
			log.Debug("a limit cannot be set", "error", err)
		}
	}
	for _, directory := range []string{"", commandsDirectory} {
		for _, controller := range []string{"+cpu", "+memory"} {
			attempt(directory, "cgroup.subtree_control", controller)
		}
	}
	attempt(ownDirectory, "cpu.weight", ownWeight)
	attempt(commandsDirectory, "cpu.weight", usualWeight)
	attempt(directories[PTY], "cpu.weight", ptyWeight)
	attempt(directories[Socat], "cpu.weight", usualWeight)
	attempt(ownDirectory, "memory.min", strconv.Itoa(ownMemory))
	var machine unix.Sysinfo_t
	if err := unix.Sysinfo(&machine); err != nil {
		log.Debug("measure memory", "error", err)
		return
	}
	total := machine.Totalram * uint64(machine.Unit)
	attempt(commandsDirectory, "memory.max", strconv.FormatUint(commandMemory(total), 10))
}

// commandMemory is the limit of all commands together, in bytes.
func commandMemory(total uint64) uint64 {
	reserve := min(max(total/reservePart, smallestReserve), largestReserve)
	return max(total-min(reserve, total), total/2)
}
