package meter

import "bytes"

// hostCPU is the time of all the host's CPUs since its boot, in ticks, and their use
// since the reading before.
type hostCPU struct {
	busy, all   uint64
	usedPercent float64
}

// hostCPU reads the counters. Source: proc_stat(5).
func (r *reader) hostCPU() hostCPU {
	content := r.file("/proc/stat")
	line, _, _ := bytes.Cut(content, []byte("\n"))
	const fields, idle, waiting = 8, 4, 5 // those after the name; guests' time is part of user time
	var now hostCPU
	for n := 1; n <= fields; n++ {
		ticks := number(field(line, n))
		now.all += ticks
		if n != idle && n != waiting {
			now.busy += ticks
		}
	}
	return now
}

func (c hostCPU) after(earlier hostCPU) hostCPU {
	const percent = 100
	if earlier.all > 0 && c.all > earlier.all && c.busy >= earlier.busy {
		c.usedPercent = percent * float64(c.busy-earlier.busy) / float64(c.all-earlier.all)
	}
	return c
}
