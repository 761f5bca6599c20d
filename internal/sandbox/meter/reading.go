package meter

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// reading is what the kernel counts for one VM at one moment. What cannot be read is
// zero.
type reading struct {
	counters        Counters
	memoryBytes     uint64
	memoryPeakBytes uint64
	diskBytes       uint64
}

// reader reads the kernel's counters into buffers that it reuses: hundreds of VMs are
// read every second. It is used by one goroutine.
type reader struct {
	buffer   []byte
	links    []byte // what readLinks read
	pageSize uint64
}

const (
	bufferBytes = 4 << 10
	linksBytes  = 64 << 10
)

// newReader makes a reader and reads the links.
func newReader() *reader {
	r := &reader{buffer: make([]byte, bufferBytes), links: make([]byte, 0, linksBytes), pageSize: uint64(os.Getpagesize())}
	r.readLinks()
	return r
}

// processFiles are the kernel's files with the counters of a process.
type processFiles struct {
	io, stat, statm string
}

func filesOf(processID int) processFiles {
	directory := fmt.Sprintf("/proc/%d/", processID)
	return processFiles{io: directory + "io", stat: directory + "stat", statm: directory + "statm"}
}

// read measures one VM. The counters of its link are those of the last readLinks.
func (r *reader) read(k *Meter) reading {
	var now reading
	usage, err := k.vm.Group.Usage(r.buffer)
	if err == nil {
		now.counters.CPU, now.memoryBytes, now.memoryPeakBytes = usage.CPU, usage.MemoryBytes, usage.MemoryPeakBytes
	}
	if k.vm.Group == nil {
		now.counters.CPU = r.processCPU(k.process.stat)
	}
	if now.memoryBytes == 0 {
		now.memoryBytes = r.processMemory(k.process.statm)
	}
	content := r.file(k.process.io)
	now.counters.DiskReadBytes = numberAfter(content, "\nread_bytes: ")
	now.counters.DiskWrittenBytes = numberAfter(content, "\nwrite_bytes: ")
	r.countLink(k.vm.Link, &now.counters)
	now.diskBytes = allocated(k.vm.DiskPath)
	return now
}

// processCPU is the CPU time of all threads of a process, ended ones included.
// Source: proc_pid_stat(5), fields 14 and 15.
func (r *reader) processCPU(path string) time.Duration {
	content := r.file(path)
	content = content[max(0, bytes.LastIndexByte(content, ')')):] // the name before it can contain spaces and parentheses
	const userField, systemField, tick = 12, 13, time.Second / 100
	ticks := number(field(content, userField)) + number(field(content, systemField))
	return time.Duration(ticks) * tick
}

// processMemory is the resident memory of a process that is not a file's.
// Source: proc_pid_statm(5).
func (r *reader) processMemory(path string) uint64 {
	content := r.file(path)
	const residentField, sharedField = 1, 2
	resident, shared := number(field(content, residentField)), number(field(content, sharedField))
	return (resident - min(resident, shared)) * r.pageSize
}

// readLinks reads the counters of all network links at once.
func (r *reader) readLinks() {
	const path = "/proc/net/dev"
	descriptor, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		r.links = r.links[:0]
		return
	}
	defer func() { _ = unix.Close(descriptor) }()
	r.links = r.links[:0]
	for {
		if len(r.links) == cap(r.links) {
			r.links = append(r.links, 0)[:len(r.links)]
		}
		n, err := unix.Read(descriptor, r.links[len(r.links):cap(r.links)])
		if n <= 0 || err != nil {
			return
		}
		r.links = r.links[:len(r.links)+n]
	}
}

// countLink sets the counters of a guest's link: what the host's end received, the guest
// sent.
// Source: proc_pid_net(5), dev.
func (r *reader) countLink(name string, into *Counters) {
	const receivedBytes, receivedPackets, sentBytes, sentPackets = 0, 1, 8, 9
	for rest := r.links; len(rest) > 0; {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte("\n"))
		line = bytes.TrimLeft(line, " ")
		if len(line) <= len(name) || line[len(name)] != ':' || string(line[:len(name)]) != name {
			continue
		}
		line = line[len(name)+1:]
		into.NetworkSentBytes, into.NetworkSentPackets = number(field(line, receivedBytes)), number(field(line, receivedPackets))
		into.NetworkReceivedBytes, into.NetworkReceivedPackets = number(field(line, sentBytes)), number(field(line, sentPackets))
		return
	}
}

// file reads a file that fits the buffer. A missing file gives nothing.
func (r *reader) file(path string) []byte {
	descriptor, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer func() { _ = unix.Close(descriptor) }()
	n, err := unix.Read(descriptor, r.buffer)
	if err != nil {
		return nil
	}
	return r.buffer[:n]
}

// field is the nth word, counted from 0.
func field(content []byte, n int) []byte {
	for ; ; n-- {
		content = bytes.TrimLeft(content, " ")
		word, rest, _ := bytes.Cut(content, []byte(" "))
		if n == 0 || len(word) == 0 {
			return word
		}
		content = rest
	}
}

// number reads decimal digits up to the first other byte.
func number(content []byte) uint64 {
	var value uint64
	for _, digit := range content {
		if digit < '0' || digit > '9' {
			break
		}
		value = value*10 + uint64(digit-'0')
	}
	return value
}

func numberAfter(content []byte, key string) uint64 {
	_, rest, _ := bytes.Cut(content, []byte(key))
	return number(rest)
}
