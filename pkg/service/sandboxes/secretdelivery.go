package sandboxes

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/placeholder"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

const (
	// maxSandboxSecrets is how many secrets one sandbox may refer to.
	maxSandboxSecrets = 50
	// secretDeliveries bounds the concurrent deliveries of one secret.
	secretDeliveries = 16
)

// SecretSource finds the values of secrets.
type SecretSource interface {
	Resolve(ctx context.Context, teamID uuid.UUID, names []string) (sandbox.Secrets, error)
}

// DeliverSecret sends a secret that has changed to every sandbox that refers to it.
func (s *Service) DeliverSecret(ctx context.Context, teamID uuid.UUID, name string) error {
	users, err := s.store.UsingSecret(ctx, teamID, name)
	if err != nil {
		return err
	}
	failures := make([]error, len(users))
	var group errgroup.Group
	group.SetLimit(secretDeliveries)
	for i, user := range users {
		group.Go(func() error {
			failures[i] = s.deliverSecrets(ctx, user, "")
			return nil
		})
	}
	_ = group.Wait() // never fails
	return errors.Join(failures...)
}

// deliverSecrets sends a sandbox the current values of the secrets that its network refers
// to. held is the revision that it has, or empty. Deliveries can overtake each other, so
// each compares again after it has sent.
func (s *Service) deliverSecrets(ctx context.Context, to sandbox.Sandbox, held string) error {
	if s.options.Secrets == nil || len(to.SecretNames) == 0 {
		return nil
	}
	for first := true; ; first = false {
		current, err := s.options.Secrets.Resolve(ctx, to.TeamID, to.SecretNames)
		if err != nil {
			return err
		}
		if current.Revision == held && (!first || held != "") {
			return nil
		}
		err = s.hosts.Agent(to.HostID).SetSecrets(ctx, to.ID, current)
		if fault.Is(err, fault.NotFound) {
			return nil // it has ended
		}
		if err != nil {
			return err
		}
		held = current.Revision
	}
}

// settleSecrets is deliverSecrets without an error: Reconcile repeats what has failed.
func (s *Service) settleSecrets(ctx context.Context, to sandbox.Sandbox, held string) {
	if err := s.deliverSecrets(ctx, to, held); err != nil && ctx.Err() == nil {
		s.logger(to).WarnContext(ctx, "hand a sandbox its secrets", "error", err)
	}
}

// reconcileSecrets sends secrets to sandboxes that do not hold the current ones: because
// their host agent was restarted, or because a delivery has failed.
func (s *Service) reconcileSecrets(ctx context.Context, hostID uuid.UUID, listed []host.Sandbox) error {
	if s.options.Secrets == nil {
		return nil
	}
	wanted, err := s.store.SecretRevisions(ctx, hostID)
	if err != nil {
		return err
	}
	for _, seen := range listed {
		revision, refers := wanted[seen.ID]
		if !refers || seen.State != sandbox.Running || seen.SecretsRevision == revision {
			continue
		}
		running, err := s.store.Get(ctx, seen.ID)
		if err != nil {
			return err
		}
		s.logger(running).InfoContext(ctx, "hand a sandbox the secrets that it lacks")
		s.settleSecrets(ctx, running, "")
	}
	return nil
}

// secretsOf returns the secrets that a network refers to. All must exist, and make valid
// headers.
func (s *Service) secretsOf(ctx context.Context, teamID uuid.UUID, network sandbox.Network) (sandbox.Secrets, error) {
	references, err := network.References()
	if err != nil {
		return sandbox.Secrets{}, fault.New(fault.Invalid, "network.rules: %s", err)
	}
	names := references.Secrets
	switch {
	case len(names) == 0:
		return sandbox.Secrets{}, nil
	case len(names) > maxSandboxSecrets:
		return sandbox.Secrets{}, fault.New(fault.Invalid, "network.rules refer to %d secrets; at most %d are possible", len(names), maxSandboxSecrets)
	case s.options.Secrets == nil:
		return sandbox.Secrets{}, fault.New(fault.Invalid, "network.rules: secrets are not supported by this server")
	}
	secrets, err := s.options.Secrets.Resolve(ctx, teamID, names)
	if err != nil {
		return sandbox.Secrets{}, err
	}
	for _, name := range names {
		if _, there := secrets.Values[name]; !there {
			return sandbox.Secrets{}, fault.New(fault.Invalid, "network.rules: there is no secret %q", name)
		}
	}
	return secrets, s.checkFilled(network, secrets)
}

// checkFilled checks the headers with secrets filled in, by the rules of hosts. Identity
// tokens, which hosts make later, are taken as empty.
func (s *Service) checkFilled(network sandbox.Network, secrets sandbox.Secrets) error {
	if s.options.CheckNetwork == nil {
		return nil
	}
	values := placeholder.Values{
		Secret: func(name string) (string, bool) {
			value, found := secrets.Values[name]
			return value, found
		},
		Token: func(string) (string, error) { return "", nil },
	}
	filled, err := network.MapValues(func(text string) (string, error) { return placeholder.Fill(text, values) })
	if err != nil {
		return fmt.Errorf("fill in secrets: %w", err)
	}
	return s.options.CheckNetwork(filled)
}
