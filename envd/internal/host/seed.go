package host

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// SeedBytes is the size of a seed: a full key of the kernel's generator.
const SeedBytes = 32

// Seed seeds the kernel's random number generator. It is secret.
type Seed [SeedBytes]byte

// randomPoolInfo is struct rand_pool_info of linux/random.h.
type randomPoolInfo struct {
	entropyCount int32 // bits
	bufferSize   int32 // bytes
	buffer       Seed
}

// Reseed reseeds the kernel's generator, whose state all clones of a snapshot share. The
// seed comes from the host: the guest has no entropy of its own after a restore, because
// the buffer of its hardware generator is in the snapshot, too. The lifecycle ID, which is
// not secret, is mixed in so that two lives with the same seed differ.
func Reseed(seed Seed, life string) error {
	device, err := os.OpenFile("/dev/urandom", os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("reseed: %w", err)
	}
	defer device.Close()
	if _, err := device.WriteString(life); err != nil {
		return fmt.Errorf("reseed: mix in the lifecycle ID: %w", err)
	}
	pool := randomPoolInfo{entropyCount: SeedBytes * 8, bufferSize: SeedBytes, buffer: seed}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, device.Fd(), unix.RNDADDENTROPY, uintptr(unsafe.Pointer(&pool))); errno != 0 {
		return fmt.Errorf("reseed: add entropy: %w", errno)
	}
	// Without this the entropy would take effect at the kernel's next reseeding, up to
	// minutes later.
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, device.Fd(), unix.RNDRESEEDCRNG, 0); errno != 0 {
		return fmt.Errorf("reseed: %w", errno)
	}
	return nil
}
