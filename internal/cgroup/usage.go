package cgroup

import (
	"bytes"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Usage is what a group has used so far. What the kernel does not count is zero.
type Usage struct {
	CPU             time.Duration
	MemoryBytes     uint64
	MemoryPeakBytes uint64
}

// Usage measures the group. The buffer, of about a page, is reused by the caller: many
// groups are measured every second. Of a nil group everything is zero.
func (g *Group) Usage(buffer []byte) (Usage, error) {
	if g == nil {
		return Usage{}, nil
	}
	content, err := g.read("cpu.stat", buffer)
	if err != nil {
		return Usage{}, err
	}
	usage := Usage{CPU: time.Duration(valueOf(content, "usage_usec ")) * time.Microsecond}
	if content, err = g.read("memory.current", buffer); err == nil {
		usage.MemoryBytes = parseNumber(content)
	}
	if content, err = g.read("memory.peak", buffer); err == nil { // since Linux 5.19
		usage.MemoryPeakBytes = parseNumber(content)
	}
	return usage, nil
}

// OutOfMemory reports whether the kernel has ended a process of the group because the
// group, or the machine, was out of memory.
func (g *Group) OutOfMemory() bool {
	if g == nil {
		return false
	}
	const size = 512
	content, err := g.read("memory.events", make([]byte, size))
	return err == nil && valueOf(content, "oom_kill ") > 0
}

// read reads a small file of the group without allocating.
func (g *Group) read(file string, buffer []byte) ([]byte, error) {
	descriptor, err := unix.Open(g.path+"/"+file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s of a control group: %w", file, err)
	}
	defer func() { _ = unix.Close(descriptor) }()
	n, err := unix.Read(descriptor, buffer)
	if err != nil {
		return nil, fmt.Errorf("read %s of a control group: %w", file, err)
	}
	return buffer[:n], nil
}

// valueOf finds the number on the line that begins with key.
func valueOf(content []byte, key string) uint64 {
	for len(content) > 0 {
		line, rest, _ := bytes.Cut(content, []byte("\n"))
		if bytes.HasPrefix(line, []byte(key)) {
			return parseNumber(line[len(key):])
		}
		content = rest
	}
	return 0
}

// parseNumber reads decimal digits up to the first other byte.
func parseNumber(content []byte) uint64 {
	var number uint64
	for _, digit := range content {
		if digit < '0' || digit > '9' {
			break
		}
		number = number*10 + uint64(digit-'0')
	}
	return number
}
