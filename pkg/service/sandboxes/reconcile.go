package sandboxes

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
	"git.omukk.dev/wrenn/sandbox/pkg/store"
)

// remedy is what makes the database and a host agree about a sandbox.
type remedy int

const (
	leave  remedy = iota
	accept        // record what the host says
	end           // kill it on the host, then record that
)

// remedyFor compares what the database says with what the host says. An empty
// seen state means that the host does not have the sandbox.
func remedyFor(stored sandbox.State, abandoned bool, seen sandbox.State) remedy {
	if !stored.Settled() && !abandoned {
		return leave // an operation on it is under way
	}
	if stored == sandbox.Creating || stored == sandbox.Killing {
		return end // creating: never acknowledged to the client; killing: already reported as gone
	}
	switch seen {
	case stored:
		return leave
	case "", sandbox.Running, sandbox.Paused, sandbox.Broken:
		return accept
	default:
		return leave // the host is busy with it
	}
}

// Reconcile changes the database to what a host says of its sandboxes. If the host cannot
// be reached it changes nothing.
func (s *Service) Reconcile(ctx context.Context, hostID uuid.UUID) error {
	// The database is read before the host is asked: what changes while the host answers
	// has another version by then, and is left to the next time.
	stored, err := s.store.OnHost(ctx, hostID, s.claimant.ID())
	if err != nil {
		return err
	}
	listed, err := s.hosts.Agent(hostID).ListSandboxes(ctx)
	if err != nil {
		return err
	}
	seen := make(map[string]host.Sandbox, len(listed))
	for _, one := range listed {
		seen[one.ID] = one
	}
	var failures []error
	for _, standing := range stored {
		failures = append(failures, s.reconcileOne(ctx, standing, seen[standing.ID]))
		delete(seen, standing.ID)
	}
	for _, unknown := range seen {
		failures = append(failures, s.reconcileUnknown(ctx, hostID, unknown))
	}
	failures = append(failures, s.reconcileSecrets(ctx, hostID, listed))
	return errors.Join(failures...)
}

func (s *Service) reconcileOne(ctx context.Context, standing store.Standing, seen host.Sandbox) error {
	action := remedyFor(standing.State, standing.Abandoned, seen.State)
	if action == leave {
		return nil
	}
	stored, err := s.store.Get(ctx, standing.ID)
	if err != nil {
		return err
	}
	if stored.Version != standing.Version {
		return nil // it has changed since the list
	}
	s.logger(stored).InfoContext(ctx, "host and database disagree", "stored", stored.State, "seen", seen.State)
	if action == end {
		err = s.reconcileEnd(ctx, stored)
	} else {
		if seen.State == "" {
			seen.State = sandbox.Killed
		}
		_, err = s.accept(ctx, stored, seen)
	}
	if errors.Is(err, operation.ErrOvertaken) {
		return nil
	}
	return err
}

// reconcileEnd kills what was to be created or killed by a control plane that did not
// finish. The cause that was stored with a kill stays.
func (s *Service) reconcileEnd(ctx context.Context, stored sandbox.Sandbox) error {
	if err := s.hosts.Agent(stored.HostID).KillSandbox(ctx, stored.ID); err != nil {
		return err
	}
	outcome := store.Outcome{State: sandbox.Killed, Cause: sandbox.CauseKilled}
	if stored.State == sandbox.Creating {
		outcome = store.Outcome{State: sandbox.Failed, Cause: sandbox.CauseNotCreated}
	}
	_, err := s.move(ctx, stored, outcome)
	return err
}

// reconcileUnknown looks at a sandbox that its host has and that was not stored
// as alive. One that is over is killed again; one that was never stored here may be
// another installation's and is left.
func (s *Service) reconcileUnknown(ctx context.Context, hostID uuid.UUID, seen host.Sandbox) error {
	stored, err := s.store.Get(ctx, seen.ID)
	if errors.Is(err, store.ErrNotFound) {
		s.log.WarnContext(ctx, "a host has a sandbox that the database does not know", "sandbox", seen.ID, "host", hostID, "state", seen.State)
		return nil
	}
	if err != nil {
		return err
	}
	if !stored.State.Over() || seen.State == sandbox.Killing {
		return nil
	}
	s.logger(stored).InfoContext(ctx, "kill a sandbox that should be gone")
	return s.hosts.Agent(hostID).KillSandbox(ctx, seen.ID)
}
