package secrets

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

// Resolve returns the values of those of a team's secrets that exist, for a host. A
// secret that cannot be opened is left out, so that requests that need it fail.
func (s *Service) Resolve(ctx context.Context, teamID uuid.UUID, names []string) (sandbox.Secrets, error) {
	if len(names) == 0 {
		return sandbox.Secrets{}, nil
	}
	found, err := newStore(s.pool).named(ctx, teamID, names)
	if err != nil {
		return sandbox.Secrets{}, err
	}
	secrets := sandbox.Secrets{Values: make(map[string]string, len(found))}
	revision := make([]string, 0, len(found))
	for _, secret := range found {
		revision = append(revision, secret.ID+":"+strconv.FormatInt(secret.Version, 10)) // as ListSecretRevisions has it
		value, err := s.keyring.Open(secret.sealed, purpose(secret.TeamID, secret.ID))
		if err != nil {
			s.log.ErrorContext(ctx, "a secret cannot be opened", "secret", secret.ID, "error", err)
			continue
		}
		secrets.Values[secret.Name] = string(value)
	}
	secrets.Revision = strings.Join(revision, " ")
	return secrets, nil
}

// attempts bounds the deliveries of one change.
const attempts = 5

// Job brings a change of a secret to the sandboxes that refer to it.
type Job struct {
	TeamID uuid.UUID `json:"teamID"`
	Name   string    `json:"name"`
}

// Kind names the job.
func (Job) Kind() string { return "secret_change" }

// InsertOpts bounds the attempts: the reconciliation of hosts finds the sandboxes that
// they did not reach.
func (Job) InsertOpts() river.InsertOpts { return river.InsertOpts{MaxAttempts: attempts} }

// deliver enqueues the delivery of a change, in the change's transaction.
func (s *Service) deliver(ctx context.Context, tx pgx.Tx, changed Secret) error {
	if _, err := s.queue.InsertTx(ctx, tx, Job{TeamID: changed.TeamID, Name: changed.Name}, nil); err != nil {
		return fmt.Errorf("enqueue the change of secret %s: %w", changed.ID, err)
	}
	return nil
}

// Worker works on Jobs.
type Worker struct {
	river.WorkerDefaults[Job]
	Sandboxes Deliverer
}

// Deliverer brings a secret to every sandbox that refers to it.
type Deliverer interface {
	DeliverSecret(ctx context.Context, teamID uuid.UUID, name string) error
}

// Work tells every sandbox that may hold the secret.
func (w *Worker) Work(ctx context.Context, job *river.Job[Job]) error {
	return w.Sandboxes.DeliverSecret(ctx, job.Args.TeamID, job.Args.Name)
}
