//go:build !amd64

package qemu

// CounterKHz is zero where there is no time stamp counter.
func CounterKHz() uint64 { return 0 }
