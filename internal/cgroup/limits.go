package cgroup

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
)

// Limits bound a group. Zero does not bound.
type Limits struct {
	// CPUs is how many CPUs it may use, such as 1.5.
	CPUs float64
	// CPUWeight, from 1 to 10000, is its share of busy CPUs.
	CPUWeight int
	// Above MemoryHighBytes the group is slowed down and its memory reclaimed; at
	// MemoryMaxBytes all of it is ended. Swapped memory is not part of these and is
	// bounded to MemoryMaxBytes too.
	MemoryHighBytes int64
	MemoryMaxBytes  int64
	// Tasks is how many processes and threads it may have.
	Tasks int
	IO    IOLimits
}

// IOLimits bound a group's use of one block device. Zero does not bound.
type IOLimits struct {
	// Device is the device's number, from DeviceOf.
	Device                string
	ReadBytesPerSecond    int64
	WriteBytesPerSecond   int64
	ReadRequestsPerSecond int64
	// WriteRequestsPerSecond counts requests as the device sees them.
	WriteRequestsPerSecond int64
	// Weight, from 1 to 10000, is its share of a busy device.
	Weight int
}

const (
	minWeight, maxWeight = 1, 10_000
	cpuPeriod            = 100_000 // microseconds
	swapLimit            = "memory.swap.max"
)

// setting is one file to write to.
type setting struct {
	controller, file, value string
}

// set writes the limits of the enabled controllers.
func (l Limits) set(directory string, controllers []string) error {
	for _, s := range l.settings() {
		if !slices.Contains(controllers, s.controller) {
			continue
		}
		err := write(directory, s.file, s.value)
		if s.file == swapLimit && errors.Is(err, os.ErrNotExist) {
			continue // a kernel without swap
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (l Limits) settings() []setting {
	var all []setting
	add := func(wanted bool, controller, file, value string) {
		if wanted {
			all = append(all, setting{controller, file, value})
		}
	}
	quota := int64(math.Round(l.CPUs * cpuPeriod))
	add(l.CPUs > 0, "cpu", "cpu.max", fmt.Sprintf("%d %d", quota, cpuPeriod))
	add(l.CPUWeight > 0, "cpu", "cpu.weight", fmt.Sprint(clampWeight(l.CPUWeight)))
	add(l.MemoryHighBytes > 0, "memory", "memory.high", fmt.Sprint(l.MemoryHighBytes))
	add(l.MemoryMaxBytes > 0, "memory", "memory.max", fmt.Sprint(l.MemoryMaxBytes))
	// An idle guest may be swapped out completely; none can fill the host's swap.
	add(l.MemoryMaxBytes > 0, "memory", swapLimit, fmt.Sprint(l.MemoryMaxBytes))
	// A VMM cannot work without one of its processes.
	add(l.MemoryMaxBytes > 0, "memory", "memory.oom.group", "1")
	add(l.Tasks > 0, "pids", "pids.max", fmt.Sprint(l.Tasks))
	most := l.IO.most()
	add(most != "", "io", "io.max", l.IO.Device+most)
	add(l.IO.Device != "" && l.IO.Weight > 0, "io", "io.weight", fmt.Sprintf("%s %d", l.IO.Device, clampWeight(l.IO.Weight)))
	return all
}

// most is the part of io.max after the device; empty without limits.
func (l IOLimits) most() string {
	if l.Device == "" {
		return ""
	}
	var text strings.Builder
	for _, bound := range []struct {
		key   string
		value int64
	}{
		{"rbps", l.ReadBytesPerSecond},
		{"wbps", l.WriteBytesPerSecond},
		{"riops", l.ReadRequestsPerSecond},
		{"wiops", l.WriteRequestsPerSecond},
	} {
		if bound.value > 0 {
			fmt.Fprintf(&text, " %s=%d", bound.key, bound.value)
		}
	}
	return text.String()
}

func clampWeight(weight int) int { return min(max(weight, minWeight), maxWeight) }
