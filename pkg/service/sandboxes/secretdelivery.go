package sandboxes

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/placeholder"
)

const (
	// maxSandboxSecrets is how many secrets one sandbox may refer to.
	maxSandboxSecrets = 50
	// secretDeliveries is how many sandboxes are told of a change at a time.
	secretDeliveries = 16
)

// SecretSource finds the values of secrets.
type SecretSource interface {
	Resolve(ctx context.Context, teamID uuid.UUID, names []string) (host.Secrets, error)
}

// DeliverSecret brings a secret to every sandbox that may hold it.
func (s *Service) DeliverSecret(ctx context.Context, teamID uuid.UUID, name string) error {
	users, err := s.Queries.ListSecretUsers(ctx, rows.ListSecretUsersParams{TeamID: teamID, Name: name})
	if err != nil {
		return fmt.Errorf("list who uses a secret: %w", err)
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

// deliverSecrets makes a sandbox hold what its network refers to, as that is now.
// held is the revision that it has, or empty. Deliveries can overtake each other,
// so each looks again when it is done.
func (s *Service) deliverSecrets(ctx context.Context, sandbox rows.Sandbox, held string) error {
	if s.Secrets == nil || len(sandbox.SecretNames) == 0 {
		return nil
	}
	for first := true; ; first = false {
		current, err := s.Secrets.Resolve(ctx, sandbox.TeamID, sandbox.SecretNames)
		if err != nil {
			return err
		}
		if current.Revision == held && (!first || held != "") {
			return nil
		}
		err = s.Hosts.Agent(sandbox.HostID).SetSecrets(ctx, sandbox.ID, current)
		if fault.Is(err, fault.NotFound) {
			return nil // it has ended
		}
		if err != nil {
			return err
		}
		held = current.Revision
	}
}

// settleSecrets is deliverSecrets where nothing is lost if it fails: Reconcile
// finds what a host does not have.
func (s *Service) settleSecrets(ctx context.Context, sandbox rows.Sandbox, held string) {
	if err := s.deliverSecrets(ctx, sandbox, held); err != nil && ctx.Err() == nil {
		s.Log.Warn("hand a sandbox its secrets", "sandbox", sandbox.ID, "error", err)
	}
}

// reconcileSecrets finds sandboxes that hold other secrets than they should: those
// whose host agent began anew, and those that missed a change.
func (s *Service) reconcileSecrets(ctx context.Context, hostID uuid.UUID, listed []host.Sandbox) error {
	if s.Secrets == nil {
		return nil
	}
	found, err := s.Queries.ListSecretRevisions(ctx, hostID)
	if err != nil {
		return fmt.Errorf("list which secrets should be on the host: %w", err)
	}
	wanted := make(map[string]string, len(found))
	for _, row := range found {
		wanted[row.ID] = row.Revision
	}
	for _, seen := range listed {
		revision, refers := wanted[seen.ID]
		if !refers || seen.State != lifecycle.Running || seen.SecretsRevision == revision {
			continue
		}
		sandbox, err := s.Queries.GetSandbox(ctx, seen.ID)
		if err != nil {
			return fmt.Errorf("get sandbox %s: %w", seen.ID, err)
		}
		s.Log.Info("hand a sandbox the secrets that it lacks", "sandbox", seen.ID)
		s.settleSecrets(ctx, sandbox, "")
	}
	return nil
}

// secretsOf finds what a network that a client asks for refers to. All of it must
// be there, and make headers.
func (s *Service) secretsOf(ctx context.Context, teamID uuid.UUID, network rows.Network) (host.Secrets, error) {
	references, err := network.References()
	if err != nil {
		return host.Secrets{}, fault.New(fault.Invalid, "network.rules: %s", err)
	}
	names := references.Secrets
	switch {
	case len(names) == 0:
		return host.Secrets{}, nil
	case len(names) > maxSandboxSecrets:
		return host.Secrets{}, fault.New(fault.Invalid, "network.rules refer to %d secrets; at most %d are possible", len(names), maxSandboxSecrets)
	case s.Secrets == nil:
		return host.Secrets{}, fault.New(fault.Invalid, "network.rules: secrets are not supported by this server")
	}
	secrets, err := s.Secrets.Resolve(ctx, teamID, names)
	if err != nil {
		return host.Secrets{}, err
	}
	for _, name := range names {
		if _, there := secrets.Values[name]; !there {
			return host.Secrets{}, fault.New(fault.Invalid, "network.rules: there is no secret %q", name)
		}
	}
	return secrets, s.checkFilled(network, secrets)
}

// checkFilled checks the headers that secrets make, by the rules of hosts. Identity
// tokens, of which there are none yet, count for nothing.
func (s *Service) checkFilled(network rows.Network, secrets host.Secrets) error {
	if s.CheckNetwork == nil {
		return nil
	}
	values := placeholder.Values{
		Secret: func(name string) (string, bool) {
			value, found := secrets.Values[name]
			return value, found
		},
		Token: func(string) (string, error) { return "", nil },
	}
	filled := hostNetwork(network, nil)
	for i, rule := range filled.Rules {
		headers := make(map[string]string, len(rule.SetHeaders))
		for name, text := range rule.SetHeaders {
			value, err := placeholder.Fill(text, values)
			if err != nil {
				return fmt.Errorf("fill in secrets: %w", err)
			}
			headers[name] = value
		}
		filled.Rules[i].SetHeaders = headers
	}
	return s.CheckNetwork(filled)
}
