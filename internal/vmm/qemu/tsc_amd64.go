package qemu

import "time"

// readCounter reads the CPU's time stamp counter.
func readCounter() uint64

// CounterKHz measures how fast the time stamp counter runs, in kHz. An
// emulated guest reads the host's; on a busy host it fails to measure it and
// hangs in its boot, so it is told instead.
func CounterKHz() uint64 {
	const interval = 20 * time.Millisecond
	first, began := sampleCounter()
	<-time.After(interval)
	last, ended := sampleCounter()
	return (last - first) * uint64(time.Millisecond) / uint64(ended.Sub(began))
}

// sampleCounter reads counter and clock together: the closest pair of several,
// since the host may interrupt any one of them.
func sampleCounter() (counter uint64, at time.Time) {
	const attempts = 16
	best := time.Hour
	for range attempts {
		before := time.Now()
		value := readCounter()
		if took := time.Since(before); took < best {
			best, counter, at = took, value, before.Add(took/2)
		}
	}
	return counter, at
}
