package sandbox

import (
	"context"
	"fmt"

	"git.omukk.dev/wrenn/sandbox/internal/cgroup"
)

const (
	// vmmCPUs is what a VMM may take beside its virtual CPUs, for the devices.
	vmmCPUs = 0.5
	// vmmMemoryMiB is what a VMM takes beside the guest's memory, generously.
	vmmMemoryMiB = 192
	// emulationMemoryMiB is the most that QEMU keeps of translated code.
	emulationMemoryMiB = 1024
	// graceMemoryMiB is between where a VM is slowed down and where it is ended.
	graceMemoryMiB = 64
	// vmmTasks is far more threads than a VMM needs, QEMU's for its disk included.
	vmmTasks = 256
	// weightPerCPU shares CPUs that all want by what each was promised.
	weightPerCPU = 100
)

// limits are those of the group that a sandbox's VMM runs in.
func (m *Manager) limits(s *sandbox) cgroup.Limits {
	memoryMiB := s.record.MemoryMiB + vmmMemoryMiB
	if m.driver.Accelerator() == "tcg" {
		memoryMiB += emulationMemoryMiB
	}
	return cgroup.Limits{
		CPUs:            float64(s.record.VCPUCount) + vmmCPUs,
		CPUWeight:       s.record.VCPUCount * weightPerCPU,
		MemoryHighBytes: int64(memoryMiB) << 20,
		MemoryMaxBytes:  int64(memoryMiB+graceMemoryMiB) << 20,
		Tasks:           vmmTasks,
		IO:              m.diskLimits,
	}
}

// deathReason says why a VM ended on its own.
func (g *guest) deathReason() string {
	reason := g.machine.ExitReason()
	if g.group.OutOfMemory() {
		return fmt.Sprintf("out of memory (%s)", reason)
	}
	return reason
}

// removeOrphanGroups ends whatever runs in a group that no sandbox claims.
func (m *Manager) removeOrphanGroups(ctx context.Context) error {
	var claimed []string
	for _, s := range m.all() {
		s.mutex.Lock()
		if s.record.Cgroup != "" {
			claimed = append(claimed, s.record.Cgroup)
		}
		s.mutex.Unlock()
	}
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	return m.cgroups.RemoveAllBut(ctx, claimed)
}
