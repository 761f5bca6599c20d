//go:build !amd64

package qemu

// counterKHz is zero where there is no time stamp counter.
func counterKHz() uint64 { return 0 }
