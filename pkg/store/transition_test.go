package store_test

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/store"
)

// counts returns how many events and lines of a log there are of a sandbox.
func (f *fixture) counts(t *testing.T, sandboxID string) (events, lines int) {
	t.Helper()
	require.NoError(t, f.pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM events WHERE resource_id = $1),
		(SELECT count(*) FROM sandbox_logs WHERE sandbox_id = $1)`, sandboxID).Scan(&events, &lines))
	return events, lines
}

func TestSandboxes_KeepEveryField(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	creating := f.creating()
	stored := f.insert(t, creating)
	require.WithinDuration(t, time.Now(), stored.StartedAt, time.Minute)
	want := creating
	want.Version, want.SecretNames, want.VolumeMounts = 1, []string{"key"}, []sandbox.VolumeMount{}
	want.StateChangedAt, want.StartedAt, want.EndAt = stored.StateChangedAt, stored.StartedAt, stored.EndAt
	want.Lifecycle.Timeout = stored.Lifecycle.Timeout
	require.Equal(t, want, stored)
	again, err := f.Get(t.Context(), stored.ID)
	require.NoError(t, err)
	require.Equal(t, stored, again)

	running, err := start(t.Context(), f.Sandboxes, stored)
	require.NoError(t, err)
	require.Equal(t, sandbox.Running, running.State)
	require.EqualValues(t, 4, running.VCPUCount)
	require.Equal(t, time.Hour, running.Lifecycle.Timeout)
	require.Zero(t, running.Claimant)
}

func TestSandboxes_StoreNoValuesOfANetwork(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	creating := f.creating()
	creating.Network.Rules["example.com"][0].SetHeaders["X-Plain"] = "hush"
	creating.Network.EgressProxy.Password, creating.Network.EgressProxy.TLS.CACert = "hush", "hush"
	stored := f.insert(t, creating)
	_, err := f.SetNetwork(t.Context(), stored.ID, creating.Network)
	require.ErrorIs(t, err, store.ErrNotFound, "it does not run yet")
	stored, err = start(t.Context(), f.Sandboxes, stored)
	require.NoError(t, err)
	stored, err = f.SetNetwork(t.Context(), stored.ID, creating.Network)
	require.NoError(t, err)
	require.Equal(t, creating.Network.WithoutValues(), stored.Network)
	var row string
	require.NoError(t, f.pool.QueryRow(t.Context(), `SELECT to_jsonb(s)::text FROM sandboxes s`).Scan(&row))
	require.NotContains(t, row, "hush")
}

func TestMove_OfAnOlderVersionChangesAndTellsNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	stored := f.insert(t, f.creating())
	running, err := start(t.Context(), f.Sandboxes, stored)
	require.NoError(t, err)
	events, lines := f.counts(t, stored.ID)
	for name, late := range map[string]change{
		"start":            start,
		"failure":          move(store.Outcome{State: sandbox.Failed, Cause: sandbox.CauseNotCreated}),
		"claim for a kill": claim(sandbox.Killing, sandbox.CauseKilled),
	} {
		_, err = late(t.Context(), f.Sandboxes, stored)
		require.ErrorIs(t, err, store.ErrOvertaken, name)
	}
	paused := running
	paused.State = sandbox.Paused
	_, err = f.SetEnd(t.Context(), sandbox.Sandbox{ID: running.ID, TeamID: uuid.New()}, time.Hour)
	require.ErrorIs(t, err, store.ErrOvertaken, "another team's")
	_, err = f.Move(t.Context(), paused, store.Outcome{State: sandbox.Creating})
	require.ErrorContains(t, err, "no transition")
	now, err := f.Get(t.Context(), stored.ID)
	require.NoError(t, err)
	require.Equal(t, running, now)
	afterEvents, afterLines := f.counts(t, stored.ID)
	require.Equal(t, [2]int{events, lines}, [2]int{afterEvents, afterLines})
}

// Where the event fails, the state and the line are not stored either.
func TestMove_IsOneTransactionWithItsEvent(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	stored := f.insert(t, f.creating())
	f.exec(t, `ALTER TABLE events ADD CONSTRAINT none CHECK (type <> 'sandbox.started')`)
	_, err := start(t.Context(), f.Sandboxes, stored)
	require.ErrorContains(t, err, "none")
	now, err := f.Get(t.Context(), stored.ID)
	require.NoError(t, err)
	require.Equal(t, stored, now)
	_, lines := f.counts(t, stored.ID)
	require.Zero(t, lines)

	refused := errors.New("refused")
	err = pgx.BeginFunc(t.Context(), f.pool, func(tx pgx.Tx) error {
		_, err := store.NewSandboxes(tx).Insert(t.Context(), f.creating())
		return errors.Join(err, refused)
	})
	require.ErrorIs(t, err, refused)
	var count int
	require.NoError(t, f.pool.QueryRow(t.Context(), `SELECT count(*) FROM events WHERE type = 'sandbox.created'`).Scan(&count))
	require.Equal(t, 1, count)
}

// The statements that claim many sandboxes at once write no events: no step that they
// take has one, and what they write is what the table says.
func TestClaims_TakeStepsOfTheTableThatTellNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for name, test := range map[string]struct {
		autoPause bool
		claim     func() ([]sandbox.Sandbox, error)
		next      sandbox.State
		cause     sandbox.EndCause
	}{
		"expired":            {false, func() ([]sandbox.Sandbox, error) { return f.ClaimExpired(t.Context(), claimant, 10) }, sandbox.Killing, sandbox.CauseExpired},
		"expired, to pause":  {true, func() ([]sandbox.Sandbox, error) { return f.ClaimExpired(t.Context(), claimant, 10) }, sandbox.Pausing, ""},
		"running, to paused": {true, func() ([]sandbox.Sandbox, error) { return f.ClaimRunning(t.Context(), f.host, claimant, 10) }, sandbox.Pausing, ""},
	} {
		creating := f.creating()
		creating.Lifecycle.AutoPause = test.autoPause
		running, err := f.Start(t.Context(), f.insert(t, creating), 0)
		require.NoError(t, err, name)
		claimed, err := test.claim()
		require.NoError(t, err, name)
		require.Len(t, claimed, 1, name)
		step, err := running.Transition(test.next, test.cause)
		require.NoError(t, err, name)
		require.Empty(t, step.Event, name)
		require.Empty(t, step.Line, name)
		require.Equal(t, step.Next, claimed[0].State, name)
		require.Equal(t, step.Cause, claimed[0].EndCause, name)
		require.EqualValues(t, claimant, claimed[0].Claimant, name)
	}
}

// With other reasons, those of other causes among them, every event has the same type.
func TestEvents_DoNotDependOnWords(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	texts := []string{"", "killed"}
	for _, cause := range sandbox.EndCauses() {
		texts = append(texts, cause.Reason(), string(cause))
	}
	var want map[string][]told
	require.NoError(t, json.Unmarshal(readGolden(t), &want))
	rapid.Check(t, func(r *rapid.T) {
		name := rapid.SampledFrom(slices.Sorted(maps.Keys(lives))).Draw(r, "life")
		words := rapid.OneOf(rapid.SampledFrom(texts), rapid.StringOfN(rapid.RuneFrom([]rune("aä .:'")), 0, 20, -1))
		creating := f.creating()
		if name == "a fork" {
			creating.ForkedFrom = "iparent"
		}
		current := f.insert(t, creating)
		for _, change := range lives[name] {
			f.exec(t, `UPDATE sandboxes SET reason = $2 WHERE id = $1`, current.ID, words.Draw(r, "reason"))
			var err error
			current, err = change(t.Context(), f.Sandboxes, current)
			require.NoError(r, err)
		}
		require.Equal(r, typesOf(want[name]), typesOf(f.told(t, current)), name)
	})
}

func typesOf(all []told) []string {
	types := []string{}
	for _, one := range all {
		types = append(types, one.Type)
	}
	return types
}

func TestStart_CountsEachCreateOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exec(t, `INSERT INTO templates (id, public) VALUES ('base', true)`)
	counts := func() (host, template int64) {
		t.Helper()
		require.NoError(t, f.pool.QueryRow(t.Context(), `SELECT create_successes FROM host_loads WHERE host_id = $1`, f.host).Scan(&host))
		require.NoError(t, f.pool.QueryRow(t.Context(), `SELECT spawn_count FROM templates WHERE id = 'base'`).Scan(&template))
		return host, template
	}
	stored := f.insert(t, f.creating())
	running, err := start(t.Context(), f.Sandboxes, stored)
	require.NoError(t, err)
	_, err = start(t.Context(), f.Sandboxes, stored)
	require.ErrorIs(t, err, store.ErrOvertaken)
	paused, err := f.Move(t.Context(), running, store.Outcome{State: sandbox.Paused})
	require.NoError(t, err)
	resuming, err := f.Claim(t.Context(), paused, sandbox.Resuming, "", claimant)
	require.NoError(t, err)
	_, err = start(t.Context(), f.Sandboxes, resuming)
	require.NoError(t, err)
	fork := f.creating()
	fork.ForkedFrom = stored.ID
	_, err = start(t.Context(), f.Sandboxes, f.insert(t, fork))
	require.NoError(t, err)
	host, template := counts()
	require.EqualValues(t, 1, host, "late starts, resumes and forks are no creates")
	require.EqualValues(t, 1, template)
}
