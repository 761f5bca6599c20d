// Package host changes and measures the guest that envd runs in: clock, identity, random
// numbers, certificates, volumes, and its use of CPU, memory and disk.
package host

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// SetClock sets the machine's clock. After a restore it still shows the time of the
// snapshot.
func SetClock(now time.Time) error {
	value := unix.NsecToTimespec(now.UnixNano())
	if err := unix.ClockSettime(unix.CLOCK_REALTIME, &value); err != nil {
		return fmt.Errorf("set the clock: %w", err)
	}
	return nil
}
