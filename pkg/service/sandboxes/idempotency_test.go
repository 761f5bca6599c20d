package sandboxes_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/uuid"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/idempotency"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/service/servicetest"
)

func keyed(key, body string) sandboxes.NewSandbox {
	return sandboxes.NewSandbox{
		Template: "base", TimeoutSeconds: 60,
		Idempotency: idempotency.Request{Key: key, Hash: sha256.Sum256([]byte(body))},
	}
}

func (f fixture) creates() func() int {
	var creates int
	f.Agent.Before(func(_ context.Context, operation, _ string) error {
		if operation == "create" {
			creates++
		}
		return nil
	})
	return func() int { return creates }
}

func TestIdempotency_AnswersARequestThatComesAgainWithItsSandbox(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	creates := f.creates()
	first, err := f.Create(t.Context(), f.Team, keyed("a-key", "body"))
	require.NoError(t, err)
	again, err := f.Create(t.Context(), f.Team, keyed("a-key", "body"))
	require.NoError(t, err)
	require.Equal(t, first.ID, again.ID)
	require.Equal(t, 1, creates())

	_, err = f.Create(t.Context(), f.Team, keyed("a-key", "another"))
	require.Equal(t, fault.IdempotencyMismatch, fault.ReasonOf(err))
	other, err := f.Create(t.Context(), f.Team, keyed("another-key", "body"))
	require.NoError(t, err)
	require.NotEqual(t, first.ID, other.ID)

	require.NoError(t, f.Kill(t.Context(), f.Team, first.ID))
	again, err = f.Create(t.Context(), f.Team, keyed("a-key", "body"))
	require.NoError(t, err)
	require.Equal(t, first.ID, again.ID, "what became of it since is no matter")
	require.Equal(t, 2, creates())

	_, err = f.Pool.Exec(t.Context(), "UPDATE idempotency_keys SET created_at = created_at - interval '25 hours'")
	require.NoError(t, err)
	fresh, err := f.Create(t.Context(), f.Team, keyed("a-key", "another"))
	require.NoError(t, err, "a key has its life")
	require.NotEqual(t, first.ID, fresh.ID)
	worker := idempotency.NewWorker(f.Pool)
	require.NoError(t, worker.Work(t.Context(), &river.Job[idempotency.Job]{}))
	var left []string
	require.NoError(t, f.Pool.QueryRow(t.Context(), "SELECT array_agg(key) FROM idempotency_keys").Scan(&left))
	require.Equal(t, []string{"a-key"}, left)
}

func TestIdempotency_RefusesKeysOfAnotherForm(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, key := range []string{"", "A", "a_b", "a b", "ä", strings.Repeat("a", 256)} {
		_, err := f.Create(t.Context(), f.Team, keyed(key, "body"))
		require.True(t, fault.Is(err, fault.Invalid), "%q: %v", key, err)
	}
	_, err := f.Create(t.Context(), f.Team, keyed(strings.Repeat("a", 255), "body"))
	require.NoError(t, err)
}

func TestIdempotency_SaysThatTheFirstRequestIsUnderWay(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	entered, release := f.Hold("create")
	answer := make(chan sandbox.Sandbox, 1)
	go func() {
		made, _ := f.Create(t.Context(), f.Team, keyed("a-key", "body"))
		answer <- made
	}()
	<-entered
	_, err := f.Create(t.Context(), f.Team, keyed("a-key", "body"))
	require.Equal(t, fault.IdempotencyInProgress, fault.ReasonOf(err))
	_, err = f.Create(t.Context(), f.Team, keyed("a-key", "another"))
	require.Equal(t, fault.IdempotencyMismatch, fault.ReasonOf(err))
	release()
	first := <-answer
	require.NotEmpty(t, first.ID)
	again, err := f.Create(t.Context(), f.Team, keyed("a-key", "body"))
	require.NoError(t, err)
	require.Equal(t, first.ID, again.ID)
}

func TestIdempotency_LetsWhatFailedBeTriedAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Agent.Before(func(_ context.Context, operation, _ string) error {
		if operation == "create" {
			return connect.NewError(connect.CodeInternal, errors.New("no"))
		}
		return nil
	})
	_, err := f.Create(t.Context(), f.Team, keyed("a-key", "body"))
	require.Equal(t, fault.CreateFailed, fault.ReasonOf(err))
	f.Agent.Before(nil)
	_, err = f.Create(t.Context(), f.Team, keyed("a-key", "body"))
	require.NoError(t, err)
}

// deadClaimant is the number of no process.
const deadClaimant = 7

// A control plane that is killed in the middle of a create leaves such rows.
func TestIdempotency_KnowsWhatADeadControlPlaneHasMade(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	hash := sha256.Sum256([]byte("body"))
	leave := func(key string, sandboxID *string) {
		_, err := f.Pool.Exec(t.Context(), "INSERT INTO idempotency_keys (team_id, key, request_hash, sandbox_id, claimant) VALUES ($1, $2, $3, $4, $5)",
			f.Team, key, hash[:], sandboxID, deadClaimant)
		require.NoError(t, err)
	}
	running, creating, failed, killed := f.Start(t), f.Start(t), f.Start(t), f.Start(t)
	f.Force(t, creating.ID, sandbox.Creating, deadClaimant)
	f.Force(t, failed.ID, sandbox.Failed, 0)
	require.NoError(t, f.Kill(t.Context(), f.Team, killed.ID))
	leave("running", &running.ID)
	leave("creating", &creating.ID)
	leave("failed", &failed.ID)
	leave("killed", &killed.ID)
	leave("nothing", nil)
	gone := "i0123456789abcdefghi"
	leave("gone", &gone)

	for range 2 {
		made, err := f.Create(t.Context(), f.Team, keyed("running", "body"))
		require.NoError(t, err)
		require.Equal(t, running.ID, made.ID, "only the answer was lost")
	}
	for _, key := range []string{"creating", "killed", "gone"} {
		_, err := f.Create(t.Context(), f.Team, keyed(key, "body"))
		require.Equal(t, fault.IdempotencyUnknown, fault.ReasonOf(err), "%s: %v", key, err)
	}
	for _, key := range []string{"nothing", "failed"} {
		made, err := f.Create(t.Context(), f.Team, keyed(key, "body"))
		require.NoError(t, err, key)
		again, err := f.Create(t.Context(), f.Team, keyed(key, "body"))
		require.NoError(t, err, key)
		require.Equal(t, made.ID, again.ID)
		require.NotEqual(t, failed.ID, made.ID)
	}
}

func TestIdempotency_ManyAtOnceMakeOneSandbox(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	creates := f.creates()
	codes := servicetest.Together(func() error {
		_, err := f.Create(t.Context(), f.Team, keyed("a-key", "body"))
		return err
	})
	require.Positive(t, codes[""])
	require.Equal(t, 8, codes[""]+codes[fault.Conflict])
	require.Equal(t, 1, creates())
	var kept int
	require.NoError(t, f.Pool.QueryRow(t.Context(), "SELECT count(*) FROM sandboxes").Scan(&kept))
	require.Equal(t, 1, kept)
	_, err := f.Create(t.Context(), uuid.New(), keyed("a-key", "body"))
	require.Error(t, err, "a team that is not there")
}
