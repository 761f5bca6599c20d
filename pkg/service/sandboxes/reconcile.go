package sandboxes

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
)

// remedy is what brings the database and a host into agreement about a sandbox.
type remedy int

const (
	leave  remedy = iota
	accept        // record what the host says
	end           // kill it on the host, then record that
)

// remedyFor compares what the database says with what the host says. An empty
// seen state means that the host does not have the sandbox.
func remedyFor(stored lifecycle.State, abandoned bool, seen lifecycle.State) remedy {
	if !stored.Settled() && !abandoned {
		return leave // somebody works on it
	}
	if stored == lifecycle.Creating || stored == lifecycle.Killing {
		return end // nobody was promised it, or everybody was promised its end
	}
	switch seen {
	case stored:
		return leave
	case "", lifecycle.Running, lifecycle.Paused, lifecycle.Broken:
		return accept
	default:
		return leave // the host is busy with it
	}
}

// Reconcile brings the database to the truth of a host. If the host cannot be
// reached it changes nothing.
func (s *Service) Reconcile(ctx context.Context, hostID uuid.UUID) error {
	// The order matters: what is stored now and changes while the host answers
	// has another version by then, and is left to the next time.
	stored, err := s.Queries.ListOnHost(ctx, rows.ListOnHostParams{HostID: hostID, Asking: s.Claimant.ID()})
	if err != nil {
		return fmt.Errorf("list what should be on the host: %w", err)
	}
	listed, err := s.Hosts.Agent(hostID).ListSandboxes(ctx)
	if err != nil {
		return err
	}
	seen := make(map[string]host.Sandbox, len(listed))
	for _, sandbox := range listed {
		seen[sandbox.ID] = sandbox
	}
	var failures []error
	for _, row := range stored {
		failures = append(failures, s.reconcileOne(ctx, row, seen[row.ID]))
		delete(seen, row.ID)
	}
	for _, sandbox := range seen {
		failures = append(failures, s.reconcileUnknown(ctx, hostID, sandbox))
	}
	failures = append(failures, s.reconcileSecrets(ctx, hostID, listed))
	return errors.Join(failures...)
}

func (s *Service) reconcileOne(ctx context.Context, row rows.ListOnHostRow, seen host.Sandbox) error {
	action := remedyFor(row.State, row.Abandoned, seen.State)
	if action == leave {
		return nil
	}
	stored, err := s.Queries.GetSandbox(ctx, row.ID)
	if err != nil {
		return fmt.Errorf("get sandbox %s: %w", row.ID, err)
	}
	if stored.Version != row.Version {
		return nil // it has changed since the list
	}
	s.Log.Info("host and database disagree", "sandbox", row.ID, "stored", row.State, "seen", seen.State)
	if action == end {
		if err := s.Hosts.Agent(stored.HostID).KillSandbox(ctx, row.ID); err != nil {
			return err
		}
		if stored.State == lifecycle.Creating {
			_, err = s.transition(ctx, stored, lifecycle.Failed, "not created")
		} else {
			_, err = s.transition(ctx, stored, lifecycle.Killed, "")
		}
	} else {
		if seen.State == "" {
			seen.State, seen.Reason = lifecycle.Killed, "ended on its host"
		}
		_, err = s.accept(ctx, stored, seen)
	}
	if errors.Is(err, operation.ErrOvertaken) {
		return nil
	}
	return err
}

// reconcileUnknown looks at a sandbox that its host has and that was not stored
// as alive. One that is over is killed again; one that was never stored here is
// not ours to judge.
func (s *Service) reconcileUnknown(ctx context.Context, hostID uuid.UUID, seen host.Sandbox) error {
	stored, err := s.Queries.GetSandbox(ctx, seen.ID)
	if errors.Is(err, pgx.ErrNoRows) {
		s.Log.Warn("a host has a sandbox that the database does not know", "sandbox", seen.ID, "state", seen.State)
		return nil
	}
	if err != nil {
		return fmt.Errorf("get sandbox %s: %w", seen.ID, err)
	}
	if !stored.State.Over() || seen.State == lifecycle.Killing {
		return nil
	}
	s.Log.Info("kill a sandbox that should be gone", "sandbox", seen.ID)
	return s.Hosts.Agent(hostID).KillSandbox(ctx, seen.ID)
}
