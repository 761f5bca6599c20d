// Package host is envd's hold on the machine it runs in: its clock, its random
// numbers and what it uses of CPU, memory and disk.
package host

import (
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// SetClock sets the machine's clock. A restored guest believes it is still
// the moment of its snapshot.
func SetClock(now time.Time) error {
	value := unix.NsecToTimespec(now.UnixNano())
	if err := unix.ClockSettime(unix.CLOCK_REALTIME, &value); err != nil {
		return fmt.Errorf("set the clock: %w", err)
	}
	return nil
}

// seedBytes is how much fresh entropy a restored guest takes: a full key.
const seedBytes = 32

// randomPoolInfo is struct rand_pool_info of linux/random.h.
type randomPoolInfo struct {
	entropyCount int32 // bits
	bufferSize   int32 // bytes
	buffer       [seedBytes]byte
}

// Reseed makes the kernel's random numbers this guest's own: clones of one
// snapshot would all draw the same. The hardware generator, which the host
// feeds, is where the difference comes from.
func Reseed() error { return reseedFrom("/dev/hwrng") }

func reseedFrom(path string) error {
	generator, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("reseed: %w", err)
	}
	defer generator.Close()
	pool := randomPoolInfo{entropyCount: seedBytes * 8, bufferSize: seedBytes}
	for read := 0; read < seedBytes; {
		n, err := generator.Read(pool.buffer[read:])
		if err != nil {
			return fmt.Errorf("reseed: read hardware generator: %w", err)
		}
		read += n
	}
	device, err := os.OpenFile("/dev/urandom", os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("reseed: %w", err)
	}
	defer device.Close()
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, device.Fd(), unix.RNDADDENTROPY, uintptr(unsafe.Pointer(&pool))); errno != 0 {
		return fmt.Errorf("reseed: add entropy: %w", errno)
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, device.Fd(), unix.RNDRESEEDCRNG, 0); errno != 0 {
		return fmt.Errorf("reseed: %w", errno)
	}
	return nil
}
