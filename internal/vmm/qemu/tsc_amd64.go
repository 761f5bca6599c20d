package qemu

import "time"

// readCounter reads the CPU's time stamp counter.
func readCounter() uint64

// CounterKHz measures the frequency of the time stamp counter, in kHz. An emulated guest
// reads the host's counter. On a busy host it fails to measure the frequency and hangs
// in its boot, so it gets the frequency on its command line.
func CounterKHz() uint64 {
	const interval = 20 * time.Millisecond
	first, began := sampleCounter()
	<-time.After(interval)
	last, ended := sampleCounter()
	return (last - first) * uint64(time.Millisecond) / uint64(ended.Sub(began))
}

// sampleCounter reads counter and clock together, several times, and returns the closest
// pair: the host may interrupt between the two.
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
