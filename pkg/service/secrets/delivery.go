package secrets

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

// Resolve finds those of a team's secrets that are there, for a host. One that
// cannot be opened is left out, so that requests that need it fail.
func (s *Service) Resolve(ctx context.Context, teamID uuid.UUID, names []string) (sandbox.Secrets, error) {
	if len(names) == 0 {
		return sandbox.Secrets{}, nil
	}
	found, err := rows.New(s.Pool).FindSecrets(ctx, rows.FindSecretsParams{TeamID: teamID, Names: names})
	if err != nil {
		return sandbox.Secrets{}, fmt.Errorf("find secrets: %w", err)
	}
	secrets := sandbox.Secrets{Values: make(map[string]string, len(found))}
	revision := make([]string, 0, len(found))
	for _, row := range found {
		revision = append(revision, row.ID+":"+strconv.FormatInt(row.Version, 10)) // as ListSecretRevisions has it
		value, err := s.Keyring.Open(row.SealedValue, purpose(row.TeamID, row.ID))
		if err != nil {
			s.Log.Error("a secret cannot be opened", "secret", row.ID, "error", err)
			continue
		}
		secrets.Values[row.Name] = string(value)
	}
	secrets.Revision = strings.Join(revision, " ")
	return secrets, nil
}

// attempts is how often a change is brought to sandboxes before that is left to the
// reconciliation of hosts.
const attempts = 5

// Job brings a change of a secret to the sandboxes that refer to it.
type Job struct {
	TeamID uuid.UUID `json:"teamID"`
	Name   string    `json:"name"`
}

// Kind names the job.
func (Job) Kind() string { return "secret_change" }

// InsertOpts bounds the attempts: Reconcile finds whom they did not reach.
func (Job) InsertOpts() river.InsertOpts { return river.InsertOpts{MaxAttempts: attempts} }

// spread makes a job of a change, in its transaction.
func (s *Service) spread(ctx context.Context, tx pgx.Tx, changed rows.Secret) error {
	if _, err := s.Queue.InsertTx(ctx, tx, Job{TeamID: changed.TeamID, Name: changed.Name}, nil); err != nil {
		return fmt.Errorf("enqueue the change of secret %s: %w", changed.ID, err)
	}
	return nil
}

// SecretWorker works on SecretJobs.
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
