package vmm

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// PassOnNothing marks all descriptors that this process has open, inherited ones
// included, as closed on exec, so that no VMM gets them. The ExtraFiles of a command
// are passed on all the same.
func PassOnNothing() error {
	const afterStandardError = 3
	if err := unix.CloseRange(afterStandardError, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("pass on no descriptors: %w", err)
	}
	return nil
}
