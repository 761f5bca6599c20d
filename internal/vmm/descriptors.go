package vmm

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// PassOnNothing keeps from what this process starts whatever descriptors it was
// itself started with: who starts it may have had files open that no VMM should. What
// a command is given by name is passed on all the same.
func PassOnNothing() error {
	const afterStandardError = 3
	if err := unix.CloseRange(afterStandardError, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("pass on no descriptors: %w", err)
	}
	return nil
}
