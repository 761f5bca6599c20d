package admission

import (
	"errors"
	"fmt"
)

// ErrNoRoom is returned for a sandbox that the host has no room for.
var ErrNoRoom = errors.New("this host has no room for another sandbox")

// ShortageError is an ErrNoRoom that says which resource is short.
type ShortageError struct {
	Resource string
	Unit     string
	Left     int64
	Needed   int64
}

// Error says what is short and by how much.
func (e *ShortageError) Error() string {
	return fmt.Sprintf("%s: %d %s are left, %d %s are needed, %d too few", e.Resource, e.Left, e.Unit, e.Needed, e.Unit, e.Needed-e.Left)
}

// Unwrap makes it an ErrNoRoom.
func (e *ShortageError) Unwrap() error { return ErrNoRoom }

// PressureError is an ErrNoRoom because processes on the host wait for memory already.
type PressureError struct {
	Percent, Most float64
}

// Error says how long they waited.
func (e *PressureError) Error() string {
	return fmt.Sprintf("memory pressure: for %.0f %% of the last ten seconds something on this host waited for memory, %.0f too much", e.Percent, e.Percent-e.Most)
}

// Unwrap makes it an ErrNoRoom.
func (e *PressureError) Unwrap() error { return ErrNoRoom }

// Resources that can be short.
const (
	freeMemory     = "free memory"
	promisedMemory = "memory that may be promised"
	promisedCPUs   = "CPUs that may be promised"
	freeDisk       = "free disk space"
	promisedDisk   = "disk space that may be promised"
)
