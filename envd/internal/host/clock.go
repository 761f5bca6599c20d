// Package host is envd's hold on the machine it runs in: its clock, its random
// numbers and what it uses of CPU, memory and disk.
package host

import (
	"fmt"
	"time"

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
