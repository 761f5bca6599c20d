// Package scheduler decides which host gets a sandbox.
//
// A scheduler only proposes: it works on what it was last told of the fleet. The
// caller's Reserve makes a proposal firm in the database, or says that somebody
// else was faster, and then the next host is proposed. So any number of control
// planes can place at once, and none promises what another has promised.
package scheduler

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
)

// Resources are what a sandbox needs of a host, or a host has.
type Resources struct {
	VCPUs     int64
	MemoryMiB int64
	DiskMiB   int64
}

// Plus is the sum of both.
func (r Resources) Plus(other Resources) Resources {
	return Resources{r.VCPUs + other.VCPUs, r.MemoryMiB + other.MemoryMiB, r.DiskMiB + other.DiskMiB}
}

// Minus is what is left of r without other. It may be negative.
func (r Resources) Minus(other Resources) Resources {
	return Resources{r.VCPUs - other.VCPUs, r.MemoryMiB - other.MemoryMiB, r.DiskMiB - other.DiskMiB}
}

// Fits says whether r finds room in what is free.
func (r Resources) Fits(free Resources) bool {
	return r.VCPUs <= free.VCPUs && r.MemoryMiB <= free.MemoryMiB && r.DiskMiB <= free.DiskMiB
}

// Rule says where a sandbox goes that belongs to a group.
type Rule int

// The rules: a group can have its sandboxes anywhere, each on a host where no
// other of the group is, or where others of the group are as long as there is
// room.
const (
	Anywhere Rule = iota
	Apart
	Together
)

// Request is a sandbox that needs a host.
type Request struct {
	Needs Resources
	// Build is the template's build that the host must be able to start; the zero
	// UUID is any.
	Build uuid.UUID
	// Tags are those that the host must have, all of them.
	Tags []string
	// Group is who Rule is about; without one the rule says nothing.
	Group string
	Rule  Rule
	// Host is the only one that can have it; the zero UUID is any.
	Host uuid.UUID
	// Avoid are hosts that must not have it.
	Avoid []uuid.UUID
}

// Host is a host that may get sandboxes.
type Host struct {
	ID uuid.UUID
	// Capacity is what may be promised in all: what the host has, times its
	// overcommit.
	Capacity  Resources
	Allocated Resources
	Tags      []string
	Builds    []uuid.UUID
	// Groups counts the sandboxes of each group that are on the host.
	Groups map[string]int
}

// Reserve makes a proposal firm. ErrTaken means that the host has not the room
// that it seemed to have, and any other error ends the placement.
type Reserve func(ctx context.Context, hostID uuid.UUID) error

// ErrTaken is what a Reserve answers when another host should be tried.
var ErrTaken = errors.New("the host's room is taken")

// Scheduler places sandboxes. It is safe for concurrent use.
type Scheduler interface {
	// Observe tells of all hosts that may get sandboxes now.
	Observe(hosts []Host)
	// Place proposes hosts, the best first, until reserve takes one, which it
	// returns. Where none is left it returns a *NoRoomError.
	Place(ctx context.Context, request Request, reserve Reserve) (uuid.UUID, error)
}

// NoRoomError says that no host can have a sandbox now.
type NoRoomError struct {
	// Hosts are all that were known, and Suited those of them that have the
	// template and the tags.
	Hosts, Suited int
}

// Error says what is missing.
func (e *NoRoomError) Error() string {
	switch {
	case e.Hosts == 0:
		return "no host is ready"
	case e.Suited == 0:
		return fmt.Sprintf("none of %d hosts has the template and the tags that are asked for", e.Hosts)
	default:
		return fmt.Sprintf("none of %d hosts that could have it has room", e.Suited)
	}
}
