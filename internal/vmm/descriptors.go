package vmm

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// CloseOnExec marks all descriptors of this process from 3 on, including those it
// inherited, as closed on exec, so that no VMM inherits them. The ExtraFiles of a
// command are inherited all the same.
func CloseOnExec() error {
	const afterStandardError = 3
	if err := unix.CloseRange(afterStandardError, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("mark descriptors as closed on exec: %w", err)
	}
	return nil
}
