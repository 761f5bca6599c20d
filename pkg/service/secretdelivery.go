package service

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
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
	// secretDeliveries is how many sandboxes are told of a change at a time, and
	// secretAttempts how often that is tried before it is left to Reconcile.
	secretDeliveries = 16
	secretAttempts   = 5
)

// SecretSource finds the values of secrets.
type SecretSource interface {
	Resolve(ctx context.Context, teamID uuid.UUID, names []string) (host.Secrets, error)
}

// Resolve finds those of a team's secrets that are there, for a host. One that
// cannot be opened is left out, so that requests that need it fail.
func (s *Secrets) Resolve(ctx context.Context, teamID uuid.UUID, names []string) (host.Secrets, error) {
	if len(names) == 0 {
		return host.Secrets{}, nil
	}
	found, err := rows.New(s.Pool).FindSecrets(ctx, rows.FindSecretsParams{TeamID: teamID, Names: names})
	if err != nil {
		return host.Secrets{}, fmt.Errorf("find secrets: %w", err)
	}
	secrets := host.Secrets{Values: make(map[string]string, len(found))}
	revision := make([]string, 0, len(found))
	for _, row := range found {
		revision = append(revision, row.ID+":"+strconv.FormatInt(row.Version, 10)) // as ListSecretRevisions has it
		value, err := s.Keyring.Open(row.SealedValue, secretPurpose(row.TeamID, row.ID))
		if err != nil {
			s.Log.Error("a secret cannot be opened", "secret", row.ID, "error", err)
			continue
		}
		secrets.Values[row.Name] = string(value)
	}
	secrets.Revision = strings.Join(revision, " ")
	return secrets, nil
}

// SecretJob brings a change of a secret to the sandboxes that refer to it.
type SecretJob struct {
	TeamID uuid.UUID `json:"teamID"`
	Name   string    `json:"name"`
}

// Kind names the job.
func (SecretJob) Kind() string { return "secret_change" }

// InsertOpts bounds the attempts: Reconcile finds whom they did not reach.
func (SecretJob) InsertOpts() river.InsertOpts { return river.InsertOpts{MaxAttempts: secretAttempts} }

// spread makes a job of a change, in its transaction.
func (s *Secrets) spread(ctx context.Context, tx pgx.Tx, changed rows.Secret) error {
	if _, err := s.Queue.InsertTx(ctx, tx, SecretJob{TeamID: changed.TeamID, Name: changed.Name}, nil); err != nil {
		return fmt.Errorf("enqueue the change of secret %s: %w", changed.ID, err)
	}
	return nil
}

// SecretWorker works on SecretJobs.
type SecretWorker struct {
	river.WorkerDefaults[SecretJob]
	Sandboxes *Sandboxes
}

// Work tells every sandbox that may hold the secret.
func (w *SecretWorker) Work(ctx context.Context, job *river.Job[SecretJob]) error {
	users, err := w.Sandboxes.Queries.ListSecretUsers(ctx, rows.ListSecretUsersParams{TeamID: job.Args.TeamID, Name: job.Args.Name})
	if err != nil {
		return fmt.Errorf("list who uses a secret: %w", err)
	}
	failures := make([]error, len(users))
	var group errgroup.Group
	group.SetLimit(secretDeliveries)
	for i, user := range users {
		group.Go(func() error {
			failures[i] = w.Sandboxes.deliverSecrets(ctx, user, "")
			return nil
		})
	}
	_ = group.Wait() // never fails
	return errors.Join(failures...)
}

// deliverSecrets makes a sandbox hold what its network refers to, as that is now.
// held is the revision that it has, or empty. Deliveries can overtake each other,
// so each looks again when it is done.
func (s *Sandboxes) deliverSecrets(ctx context.Context, sandbox rows.Sandbox, held string) error {
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
func (s *Sandboxes) settleSecrets(ctx context.Context, sandbox rows.Sandbox, held string) {
	if err := s.deliverSecrets(ctx, sandbox, held); err != nil && ctx.Err() == nil {
		s.Log.Warn("hand a sandbox its secrets", "sandbox", sandbox.ID, "error", err)
	}
}

// reconcileSecrets finds sandboxes that hold other secrets than they should: those
// whose host agent began anew, and those that missed a change.
func (s *Sandboxes) reconcileSecrets(ctx context.Context, hostID uuid.UUID, listed []host.Sandbox) error {
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
func (s *Sandboxes) secretsOf(ctx context.Context, teamID uuid.UUID, network rows.Network) (host.Secrets, error) {
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
func (s *Sandboxes) checkFilled(network rows.Network, secrets host.Secrets) error {
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
