// Package scheduler decides which host gets a sandbox.
//
// A scheduler only proposes, from the hosts that Observe was last called with. The
// caller's Reserve stores the placement in the database, or returns ErrTaken where
// another control plane has taken the room first; then the next host is proposed. So any
// number of control planes place at once, and no room is promised twice.
package scheduler

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

// Resources are what a sandbox needs of a host, or a host has.
type Resources struct {
	VCPUs     int64
	MemoryMiB int64
	DiskMiB   int64
}

// Plus returns the sum of both.
func (r Resources) Plus(other Resources) Resources {
	return Resources{r.VCPUs + other.VCPUs, r.MemoryMiB + other.MemoryMiB, r.DiskMiB + other.DiskMiB}
}

// Minus returns r less other. It may be negative.
func (r Resources) Minus(other Resources) Resources {
	return Resources{r.VCPUs - other.VCPUs, r.MemoryMiB - other.MemoryMiB, r.DiskMiB - other.DiskMiB}
}

// Fits reports whether r is at most what is free.
func (r Resources) Fits(free Resources) bool {
	return r.VCPUs <= free.VCPUs && r.MemoryMiB <= free.MemoryMiB && r.DiskMiB <= free.DiskMiB
}

// Rule is where a sandbox of a group is placed.
type Rule int

// The rules.
const (
	Anywhere Rule = iota
	// Apart is on a host that has no other sandbox of the group.
	Apart
	// Together is on a host that has others of the group, as long as one has room.
	Together
)

// Request is a sandbox that needs a host.
type Request struct {
	Needs Resources
	// Build is the template's build that the host must have; the zero UUID is any.
	Build uuid.UUID
	// Tags must all be tags of the host.
	Tags []string
	// Isolation is what the host must give; empty is any.
	Isolation sandbox.Isolation
	// Group is empty for none; then Rule is ignored.
	Group string
	Rule  Rule
	// Host is the only host that may have the sandbox; the zero UUID is any.
	Host uuid.UUID
	// Avoid are hosts that must not have the sandbox.
	Avoid []uuid.UUID
}

// Host is a host that may get sandboxes.
type Host struct {
	ID uuid.UUID
	// Capacity is what may be promised in all: the host's resources times its overcommit.
	Capacity  Resources
	Allocated Resources
	Tags      []string
	// Isolation is what it gives; empty is not known.
	Isolation sandbox.Isolation
	// Builds are those that it has and can start.
	Builds []uuid.UUID
	// Groups counts the sandboxes of each group that are on the host.
	Groups map[string]int
}

// Reserve stores a placement. It returns ErrTaken where the host has less room than the
// scheduler assumed; any other error ends the placement.
type Reserve func(ctx context.Context, hostID uuid.UUID) error

// ErrTaken is returned by a Reserve when another host should be tried.
var ErrTaken = errors.New("the host's room is taken")

// Scheduler places sandboxes. It is safe for concurrent use.
type Scheduler interface {
	// Observe replaces the hosts that may get sandboxes.
	Observe(hosts []Host)
	// Place calls reserve with one host after the other, the best first, until it
	// succeeds, and returns that host. Without one it returns a *NoRoomError.
	Place(ctx context.Context, request Request, reserve Reserve) (uuid.UUID, error)
}

// NoRoomError is returned where no host can have a sandbox now.
type NoRoomError struct {
	// Hosts counts all hosts, and Suited those with the template, the tags and the
	// isolation.
	Hosts, Suited int
}

// Error names what is missing.
func (e *NoRoomError) Error() string {
	switch {
	case e.Hosts == 0:
		return "no host is ready"
	case e.Suited == 0:
		return fmt.Sprintf("none of %d hosts has the template, the tags and the isolation that are asked for", e.Hosts)
	default:
		return fmt.Sprintf("none of %d hosts that could have it has room", e.Suited)
	}
}
