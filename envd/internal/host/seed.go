package host

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// SeedBytes is how much of the host's randomness a restored guest is given: a
// full key of the kernel's generator.
const SeedBytes = 32

// Seed is what makes a guest's random numbers its own. It is secret.
type Seed [SeedBytes]byte

// randomPoolInfo is struct rand_pool_info of linux/random.h.
type randomPoolInfo struct {
	entropyCount int32 // bits
	bufferSize   int32 // bytes
	buffer       Seed
}

// Reseed makes the kernel's random numbers this life's own: clones of one
// snapshot would all draw the same. The difference comes from the host, because
// the guest has none of its own: what its hardware generator had read ahead is
// in the snapshot too. The life's name, which is no secret, tells even lives
// apart that were given the same seed.
func Reseed(seed Seed, life string) error {
	device, err := os.OpenFile("/dev/urandom", os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("reseed: %w", err)
	}
	defer device.Close()
	if _, err := device.WriteString(life); err != nil {
		return fmt.Errorf("reseed: mix in the life: %w", err)
	}
	pool := randomPoolInfo{entropyCount: SeedBytes * 8, bufferSize: SeedBytes, buffer: seed}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, device.Fd(), unix.RNDADDENTROPY, uintptr(unsafe.Pointer(&pool))); errno != 0 {
		return fmt.Errorf("reseed: add entropy: %w", errno)
	}
	// What was mixed in counts from here on, not at the kernel's next turn, which
	// may be minutes away.
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, device.Fd(), unix.RNDRESEEDCRNG, 0); errno != 0 {
		return fmt.Errorf("reseed: %w", errno)
	}
	return nil
}
