package events_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/db/dbtest"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
)

const patience = 10 * time.Second

func TestMain(m *testing.M) { dbtest.Main(m) }

// startBus runs a bus until the test ends or stop is called.
func startBus(t *testing.T, pool *pgxpool.Pool) (bus *events.Bus, stop func()) {
	t.Helper()
	bus, err := events.NewBus(t.Context(), pool.Config().ConnString(), pool, slog.New(slog.NewTextHandler(t.Output(), nil)))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { bus.Run(ctx) })
	stop = func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return bus, stop
}

func record(t *testing.T, pool *pgxpool.Pool, team uuid.UUID, kind events.Type, resource string) {
	t.Helper()
	require.NoError(t, events.Record(t.Context(), pool, team, kind, resource, nil))
}

func next(t *testing.T, subscription *events.Subscription) events.Event {
	t.Helper()
	select {
	case event, open := <-subscription.Events():
		require.True(t, open, "the subscription has ended: %v", subscription.Err())
		return event
	case <-time.After(patience):
		require.FailNow(t, "no event came")
		return events.Event{}
	}
}

// awaitEnd waits for the end of a subscription and returns what came before.
func awaitEnd(t *testing.T, subscription *events.Subscription) (before int) {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case _, open := <-subscription.Events():
			if !open {
				return before
			}
			before++
		case <-deadline:
			require.FailNow(t, "the subscription did not end")
		}
	}
}
