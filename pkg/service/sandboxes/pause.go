package sandboxes

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
)

// pauseParallelism is how many sandboxes are paused at once when all are: a
// pause is bound by the disk.
const pauseParallelism = 2

// PauseRequest is how a sandbox is to be paused.
type PauseRequest struct {
	// WithoutMemory keeps the file system only, and a resume boots it.
	WithoutMemory bool
	// RequireHealthyGuest lets it run on where its guest agent does not answer. Else its
	// memory is kept, and a resume has to leave it out.
	RequireHealthyGuest bool
}

// Pause pauses a running sandbox. It goes on if the client leaves. Of many at once
// one pauses it and the others wait for that; one that is paused when the request
// comes is a Conflict.
func (s *Service) Pause(ctx context.Context, teamID uuid.UUID, sandboxID string, wanted PauseRequest) error {
	asked, err := s.Get(ctx, teamID, sandboxID)
	if err != nil {
		return err
	}
	if asked.State == lifecycle.Paused {
		return wrongState(asked)
	}
	return s.whenSettled(ctx, teamID, sandboxID, func(sandbox rows.Sandbox) error {
		switch {
		case sandbox.State == lifecycle.Running:
			return s.pause(ctx, sandbox, wanted)
		case sandbox.State == lifecycle.Paused && sandbox.WithoutMemory == wanted.WithoutMemory:
			return nil // by another, which was waited for
		default:
			return wrongState(sandbox)
		}
	})
}

func (s *Service) pause(ctx context.Context, sandbox rows.Sandbox, wanted PauseRequest) error {
	pausing, err := s.begin(ctx, sandbox, lifecycle.Pausing)
	if err != nil {
		return err
	}
	ctx, cancel := operation.Detach(ctx)
	defer cancel()
	return s.finishPause(ctx, pausing, wanted)
}

// PauseAll pauses everything that runs on a host.
func (s *Service) PauseAll(ctx context.Context, hostID uuid.UUID) error {
	claimed, err := s.Queries.ClaimRunning(ctx, rows.ClaimRunningParams{HostID: hostID, Claimant: s.Claimant.ID()})
	if err != nil {
		return err
	}
	var pauses errgroup.Group
	pauses.SetLimit(pauseParallelism)
	for _, pausing := range claimed {
		pauses.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, operation.Timeout)
			defer cancel()
			return s.finishPause(ctx, pausing, PauseRequest{})
		})
	}
	return pauses.Wait()
}

// finishPause does the work of a pause that has been claimed.
func (s *Service) finishPause(ctx context.Context, pausing rows.Sandbox, wanted PauseRequest) error {
	// Before the host begins: whoever finds the sandbox paused must know.
	if err := s.noteMemory(ctx, pausing, wanted.WithoutMemory); err != nil {
		_, err = s.afterFailure(ctx, pausing, err)
		return err
	}
	seen, err := s.Hosts.Agent(pausing.HostID).PauseSandbox(ctx, pausing.ID, host.Pause(wanted))
	if err != nil {
		after, err := s.afterFailure(ctx, pausing, err)
		if after.State == lifecycle.Paused {
			return nil
		}
		return err
	}
	_, err = s.transitionAs(ctx, pausing, host.Sandbox{State: lifecycle.Paused, GuestUnresponsive: seen.GuestUnresponsive})
	return s.overtaken(ctx, pausing, err)
}

// noteMemory stores whether the pause under way keeps memory.
func (s *Service) noteMemory(ctx context.Context, pausing rows.Sandbox, withoutMemory bool) error {
	if pausing.WithoutMemory == withoutMemory {
		return nil
	}
	err := s.Queries.SetWithoutMemory(ctx, rows.SetWithoutMemoryParams{
		ID: pausing.ID, Version: pausing.Version, WithoutMemory: withoutMemory,
	})
	if err != nil {
		return fmt.Errorf("note how sandbox %s is paused: %w", pausing.ID, err)
	}
	return nil
}
