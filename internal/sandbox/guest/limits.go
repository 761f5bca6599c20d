package guest

import "git.omukk.dev/wrenn/sandbox/internal/cgroup"

const (
	// vmmCPUs is what a VMM may use beside its virtual CPUs, for the devices.
	vmmCPUs = 0.5
	// vmmMemoryMiB is what a VMM needs beside the guest's memory, generously.
	vmmMemoryMiB = 192
	// emulationMemoryMiB is the most that QEMU keeps of translated code.
	emulationMemoryMiB = 1024
	// graceMemoryMiB is between where a VM is slowed down and where it is ended.
	graceMemoryMiB = 64
	// vmmTasks is far more threads than a VMM needs, QEMU's for its disk included.
	vmmTasks = 256
	// layeredTasks is for a guest whose processes are processes of the host, with some
	// threads each.
	layeredTasks = 32768
	// weightPerCPU shares busy CPUs by what each sandbox was promised.
	weightPerCPU = 100
)

// limits are those of the control group that a guest's VMM runs in.
func (h *Host) limits(spec Spec) cgroup.Limits {
	memoryMiB := spec.MemoryMiB + vmmMemoryMiB
	if h.config.Driver.Accelerator() == "tcg" {
		memoryMiB += emulationMemoryMiB
	}
	tasks := vmmTasks
	if h.hasLayers() {
		tasks = layeredTasks
	}
	return cgroup.Limits{
		CPUs:            float64(spec.VCPUCount) + vmmCPUs,
		CPUWeight:       spec.VCPUCount * weightPerCPU,
		MemoryHighBytes: int64(memoryMiB) << 20,
		MemoryMaxBytes:  int64(memoryMiB+graceMemoryMiB) << 20,
		Tasks:           tasks,
		IO:              h.config.DiskLimits,
	}
}
