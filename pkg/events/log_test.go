package events_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/db/dbtest"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

func TestAfter_GoesOnWhereTheReaderWas(t *testing.T) {
	t.Parallel()
	pool := dbtest.Open(t)
	log, team := events.NewLog(pool), uuid.New()
	for _, resource := range []string{"a", "b", "a", "c"} {
		record(t, pool, team, events.SandboxUpdated, resource)
		record(t, pool, uuid.New(), events.SandboxUpdated, resource)
	}
	first, err := log.After(t.Context(), team, 0, events.Filter{}, 2)
	require.NoError(t, err)
	require.Len(t, first, 2)
	rest, err := log.After(t.Context(), team, first[1].ID, events.Filter{Types: []string{"sandbox.*"}}, 10)
	require.NoError(t, err)
	require.Len(t, rest, 2)
	ofOne, err := log.After(t.Context(), team, 0, events.Filter{ResourceID: "a", Types: []string{"sandbox.updated", "key.*"}}, 10)
	require.NoError(t, err)
	require.Len(t, ofOne, 2)
	latest, err := log.Latest(t.Context(), team)
	require.NoError(t, err)
	require.Equal(t, rest[1].ID, latest)
	none, err := log.Latest(t.Context(), uuid.New())
	require.NoError(t, err)
	require.Zero(t, none)
}

func TestExpire_DeletesOldEventsThatHaveBeenDispatched(t *testing.T) {
	t.Parallel()
	pool := dbtest.Open(t)
	log, team := events.NewLog(pool), uuid.New()
	for _, resource := range []string{"old", "waiting", "new"} {
		record(t, pool, team, events.SandboxUpdated, resource)
	}
	_, err := pool.Exec(t.Context(), `UPDATE events SET at = now() - interval '2 days' WHERE resource_id <> 'new'`)
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), `UPDATE events SET dispatched = true WHERE resource_id <> 'waiting'`)
	require.NoError(t, err)
	deleted, err := log.Expire(t.Context(), time.Now().Add(-24*time.Hour))
	require.NoError(t, err)
	require.EqualValues(t, 1, deleted)
	left, err := log.After(t.Context(), team, 0, events.Filter{}, 10)
	require.NoError(t, err)
	require.Len(t, left, 2)
	for after, want := range map[int64]bool{left[0].ID - 2: false, left[0].ID - 1: true, left[1].ID: true} {
		complete, err := log.Complete(t.Context(), after)
		require.NoError(t, err)
		require.Equal(t, want, complete, "after %d of %d", after, left[0].ID)
	}
	_, err = pool.Exec(t.Context(), `DELETE FROM events`)
	require.NoError(t, err)
	for after, want := range map[int64]bool{left[1].ID - 1: false, left[1].ID: true} {
		complete, err := log.Complete(t.Context(), after)
		require.NoError(t, err)
		require.Equal(t, want, complete, "after %d of none", after)
	}
}

func TestValidateTypes_TakesTypesAndKinds(t *testing.T) {
	t.Parallel()
	require.NoError(t, events.ValidateTypes("types", []string{"sandbox.created", "template.build_failed", "host.*", "billing.invoice.paid"}))
	for _, wrong := range []string{"", "*", "sandbox", "Sandbox.created", "sandbox.", "sandbox.*.x", "a.b; DROP TABLE"} {
		require.True(t, fault.Is(events.ValidateTypes("types", []string{wrong}), fault.Invalid), wrong)
	}
	require.ErrorContains(t, events.ValidateTypes("types", strings.Split(strings.Repeat("a.b ", 60), " ")), "types")
}

func TestRecordAll_KeepsTheOrderWithinATeam(t *testing.T) {
	t.Parallel()
	pool := dbtest.Open(t)
	first, second := uuid.Max, uuid.New()
	require.NoError(t, events.RecordAll(t.Context(), pool,
		events.Draft{TeamID: first, Type: events.KeyCreated, ResourceID: "a", Data: map[string]string{"name": "k"}},
		events.Draft{TeamID: second, Type: events.KeyCreated, ResourceID: "b"},
		events.Draft{TeamID: first, Type: events.KeyRevoked, ResourceID: "a"},
	))
	ofFirst, err := events.NewLog(pool).After(t.Context(), first, 0, events.Filter{}, 10)
	require.NoError(t, err)
	require.Len(t, ofFirst, 2)
	require.Equal(t, events.KeyCreated, ofFirst[0].Type)
	require.JSONEq(t, `{"name": "k"}`, string(ofFirst[0].Data))
	require.Equal(t, events.KeyRevoked, ofFirst[1].Type)
	ofSecond, err := events.NewLog(pool).After(t.Context(), second, 0, events.Filter{}, 10)
	require.NoError(t, err)
	require.Less(t, ofSecond[0].ID, ofFirst[0].ID, "teams come in the order of their IDs")
}
