package cgroups

import (
	"log/slog"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Shares of the CPU when there is not enough: envd answers first, then
// terminals, where somebody waits. Weights go from 1 to 10000; 100 is usual.
const (
	ownWeight   = "1000"
	ptyWeight   = "200"
	usualWeight = "100"
)

// Memory that is kept from commands, so that the kernel ends one of them
// before it has to look at envd.
const (
	reservePart     = 10 // of all memory
	smallestReserve = 48 << 20
	largestReserve  = 256 << 20
	ownMemory       = 32 << 20 // never taken from envd
)

// limit sets what each class may use, as far as this kernel has the
// controllers; without them a command that runs away slows envd down.
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

// commandMemory is what all commands together may use, in bytes.
func commandMemory(total uint64) uint64 {
	reserve := min(max(total/reservePart, smallestReserve), largestReserve)
	return max(total-min(reserve, total), total/2)
}
