package sandboxes

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
)

// WantedSize is a size that a client asks for; what is nil is as the template has it.
type WantedSize struct{ VCPUCount, MemoryMiB, DiskMiB *int32 }

// sizePatience is how long a create waits for the first snapshot of a size. It is shorter
// than a minute, after which E2B's clients give up without an answer.
const sizePatience = 50 * time.Second

// sizeAgain is when a create may be tried again whose size is still being made.
const sizeAgain = 5 * time.Second

// of returns the size of a sandbox of a build.
func (w WantedSize) of(build templates.Size) templates.Size {
	orOwn := func(wanted *int32, own int32) int32 {
		if wanted != nil {
			return *wanted
		}
		return own
	}
	return templates.Size{
		VCPUCount: orOwn(w.VCPUCount, build.VCPUCount), MemoryMiB: orOwn(w.MemoryMiB, build.MemoryMiB), DiskMiB: orOwn(w.DiskMiB, build.DiskMiB),
	}
}

// sizeOf returns the size of a sandbox of a build, checked against the team's limits, and
// what its host is asked for: nothing for the build's own size.
func (s *Service) sizeOf(ctx context.Context, teamID uuid.UUID, wanted WantedSize, build templates.Size) (templates.Size, host.Size, error) {
	size := wanted.of(build)
	if size == build {
		return size, host.Size{}, nil
	}
	if err := size.Validate(); err != nil {
		return size, host.Size{}, err
	}
	if size.DiskMiB < build.DiskMiB {
		return size, host.Size{}, fault.New(fault.Invalid,
			"diskSizeMB %d is less than the template's disk: ask for at least %d, or leave it out", size.DiskMiB, build.DiskMiB)
	}
	limits, err := usage.LimitsOf(ctx, s.pool, teamID)
	if err == nil {
		err = limits.CheckAlone(size.Needs())
	}
	return size, host.Size(size), err
}

// prepareSize waits until the host can create sandboxes with a size. What the host does for
// that is in the sandbox's log, and goes on when the client has left.
func (s *Service) prepareSize(ctx context.Context, creating sandbox.Sandbox, size host.Size) error {
	if size == (host.Size{}) {
		return nil
	}
	patience := cmp.Or(s.sizePatience, sizePatience)
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := s.hosts.Agent(creating.HostID).PrepareSize(waiting, creating.BuildID.String(), size, func(text string) {
		s.logLine(ctx, creating, text, nil)
	})
	switch code := fault.CodeOf(err); {
	case err == nil:
		return nil
	case ctx.Err() == nil && (code == fault.Timeout || errors.Is(err, context.DeadlineExceeded)):
		return tooEarly(err, patience)
	case code == fault.NotFound:
		return notOnHost(err)
	default:
		return notMade(err, "the sandbox's size could not be made on its host")
	}
}

// tooEarly tells a client to ask again, before it gives up by itself.
func tooEarly(err error, waited time.Duration) error {
	early := fault.Wrap(fault.Unavailable, err, "no sandbox of this template had this size on its host before: "+
		"the template boots with it once, which takes longer than %d seconds and goes on; try again in a moment", int(waited.Seconds())).
		Because(fault.PlacementTimeout)
	early.RetryAfter = sizeAgain
	return early
}

func notOnHost(err error) error {
	return fault.Wrap(fault.Unavailable, err, "the template is not on its host at the moment").Because(fault.NoCompatibleHost)
}
