package sandboxes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
)

const (
	// idempotencyLife is how long a key is known after its request.
	idempotencyLife = 24 * time.Hour
	// longestCreate is longer than a create takes that tries several hosts.
	longestCreate = 10 * time.Minute
	// idempotencyBatch is how many old keys are deleted at a time.
	idempotencyBatch = 1000
)

// idempotencyKey is what a key may be.
var idempotencyKey = regexp.MustCompile(`^[a-z0-9-]{1,255}$`)

// Idempotency makes a create that is sent again with the same key, by whatever way and
// to whichever control plane, answer with the sandbox that the first one made. The zero
// value does not.
type Idempotency struct {
	Key string
	// Hash is of everything that was asked for.
	Hash [32]byte
}

// createOnce is create for a request that may come again.
func (s *Service) createOnce(ctx context.Context, teamID uuid.UUID, wanted NewSandbox) (rows.Sandbox, error) {
	key := wanted.Idempotency.Key
	if !idempotencyKey.MatchString(key) {
		return rows.Sandbox{}, fault.New(fault.Invalid, "Idempotency-Key must be lower-case letters, digits and dashes, from 1 to 255")
	}
	made, err := s.claimKey(ctx, teamID, wanted.Idempotency)
	if err != nil || made.ID != "" {
		return made, err
	}
	running, err := s.create(ctx, teamID, wanted)
	if err == nil {
		if err = s.finishKey(ctx, running, key); err != nil {
			s.abandon(ctx, running)
			err = withoutOvertaken(err)
		}
	}
	if err != nil {
		s.forgetKey(ctx, teamID, key)
		return rows.Sandbox{}, err
	}
	return running, nil
}

// claimKey returns what an earlier request with the same key has made; nothing where
// this one is to make it.
func (s *Service) claimKey(ctx context.Context, teamID uuid.UUID, asked Idempotency) (made rows.Sandbox, err error) {
	err = operation.Retry(ctx, func() error {
		claimed, err := s.Queries.ClaimIdempotencyKey(ctx, rows.ClaimIdempotencyKeyParams{
			TeamID: teamID, Key: asked.Key, RequestHash: asked.Hash[:], Claimant: s.Claimant.ID(), Life: idempotencyLife,
		})
		if err != nil {
			return fmt.Errorf("claim an idempotency key: %w", err)
		}
		if claimed > 0 {
			return nil
		}
		made, err = s.earlier(ctx, teamID, asked)
		return err
	})
	return made, err
}

// earlier is what became of the request that came first with a key. It answers
// errOvertaken where that changes meanwhile, and nothing where it came to nothing.
func (s *Service) earlier(ctx context.Context, teamID uuid.UUID, asked Idempotency) (rows.Sandbox, error) {
	first, err := s.Queries.GetIdempotencyKey(ctx, rows.GetIdempotencyKeyParams{TeamID: teamID, Key: asked.Key, Longest: longestCreate})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return rows.Sandbox{}, operation.ErrOvertaken
	case err != nil:
		return rows.Sandbox{}, fmt.Errorf("get an idempotency key: %w", err)
	case !bytes.Equal(first.RequestHash, asked.Hash[:]):
		return rows.Sandbox{}, fault.New(fault.Conflict, "the Idempotency-Key was used before, with another request").Because(fault.IdempotencyMismatch)
	case !first.Done && first.UnderWay:
		return rows.Sandbox{}, fault.New(fault.Conflict, "the first request with this Idempotency-Key is under way").Because(fault.IdempotencyInProgress)
	}
	var made rows.Sandbox
	if first.SandboxID != nil {
		made, err = s.Queries.GetSandbox(ctx, *first.SandboxID)
	}
	switch {
	case first.SandboxID != nil && err != nil && !errors.Is(err, pgx.ErrNoRows):
		return rows.Sandbox{}, fmt.Errorf("get sandbox %s: %w", *first.SandboxID, err)
	case made.ID != "" && first.Done:
		return made, nil
	case made.ID != "" && made.State.Visible(): // only the answer was lost
		return made, s.finishKey(ctx, made, asked.Key)
	case first.SandboxID == nil && !first.Done, made.State == lifecycle.Failed:
		return rows.Sandbox{}, s.takeOverKey(ctx, teamID, asked.Key, first)
	default:
		return rows.Sandbox{}, fault.New(fault.Conflict,
			"what the first request with this Idempotency-Key came to is not known; send another key").Because(fault.IdempotencyUnknown)
	}
}

// takeOverKey claims a key whose claimant has died before it made anything.
func (s *Service) takeOverKey(ctx context.Context, teamID uuid.UUID, key string, first rows.GetIdempotencyKeyRow) error {
	taken, err := s.Queries.TakeOverIdempotencyKey(ctx, rows.TakeOverIdempotencyKeyParams{
		TeamID: teamID, Key: key, Claimant: s.Claimant.ID(), Before: first.Claimant, SandboxID: first.SandboxID,
	})
	if err != nil {
		return fmt.Errorf("take over an idempotency key: %w", err)
	}
	if taken == 0 {
		return operation.ErrOvertaken
	}
	return nil
}

// withoutOvertaken turns errOvertaken, which no client may see, into a fault.
func withoutOvertaken(err error) error {
	if errors.Is(err, operation.ErrOvertaken) {
		return fault.Wrap(fault.Conflict, err, "another request with this Idempotency-Key came in between").Because(fault.IdempotencyUnknown)
	}
	return err
}

// linkKey is called in the transaction that stores the sandbox.
func (s *Service) linkKey(ctx context.Context, queries *rows.Queries, sandbox rows.Sandbox, key string) error {
	if key == "" {
		return nil
	}
	err := queries.LinkIdempotencyKey(ctx, rows.LinkIdempotencyKeyParams{
		TeamID: sandbox.TeamID, Key: key, SandboxID: &sandbox.ID, Claimant: s.Claimant.ID(),
	})
	if err != nil {
		return fmt.Errorf("store what an idempotency key stands for: %w", err)
	}
	return nil
}

// finishKey must succeed before the client is told of the sandbox.
func (s *Service) finishKey(ctx context.Context, made rows.Sandbox, key string) error {
	finished, err := s.Queries.FinishIdempotencyKey(ctx, rows.FinishIdempotencyKeyParams{TeamID: made.TeamID, Key: key, SandboxID: &made.ID})
	if err != nil {
		return fmt.Errorf("store what an idempotency key came to: %w", err)
	}
	if finished == 0 {
		return operation.ErrOvertaken // its claimant was taken for dead
	}
	return nil
}

// forgetKey lets the request be tried again: nothing of it is left.
func (s *Service) forgetKey(ctx context.Context, teamID uuid.UUID, key string) {
	ctx, cancel := operation.Detach(ctx)
	defer cancel()
	err := s.Queries.ForgetIdempotencyKey(ctx, rows.ForgetIdempotencyKeyParams{TeamID: teamID, Key: key, Claimant: s.Claimant.ID()})
	if err != nil {
		s.Log.Warn("forget an idempotency key", "team", teamID, "error", err)
	}
}

// IdempotencyJob deletes the keys whose life is over.
type IdempotencyJob struct{}

// Kind names the job in the queue.
func (IdempotencyJob) Kind() string { return "delete_idempotency_keys" }

// IdempotencyWorker works on IdempotencyJob.
type IdempotencyWorker struct {
	river.WorkerDefaults[IdempotencyJob]

	Queries *rows.Queries
}

// Work deletes until there are no more.
func (w *IdempotencyWorker) Work(ctx context.Context, _ *river.Job[IdempotencyJob]) error {
	for deleted := int64(idempotencyBatch); deleted == idempotencyBatch; {
		var err error
		deleted, err = w.Queries.DeleteIdempotencyKeys(ctx, rows.DeleteIdempotencyKeysParams{Life: idempotencyLife, Batch: idempotencyBatch})
		if err != nil {
			return fmt.Errorf("delete old idempotency keys: %w", err)
		}
	}
	return nil
}
