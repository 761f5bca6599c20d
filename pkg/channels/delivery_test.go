package channels_test

import (
	"net/http"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/channels"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

func TestWebhook_GetsSignedEventsThatItWants(t *testing.T) {
	t.Parallel()
	w, receiver := newWorld(t, options{allowed: []netip.Prefix{loopback}}), startReceiver(t)
	channel := w.create(t, channels.Webhook, channels.Config{URL: receiver.URL + "/hook"}, "sandbox.killed", "template.*")
	require.NotEmpty(t, channel.Secret)
	w.record(t, events.SandboxStarted, "isandbox1")
	w.record(t, events.SandboxKilled, "isandbox1")
	got := receiver.next(t)
	require.Equal(t, "/hook", got.path)
	require.NoError(t, channels.Verify(channel.Secret, got.header, got.body, time.Minute))
	content := got.decode(t)
	require.Equal(t, "sandbox.killed", content["type"])
	require.Equal(t, "isandbox1", content["resourceID"])
	require.Equal(t, w.team.String(), content["teamID"])
	require.Equal(t, got.header.Get(channels.EventIDHeader), strconv.Itoa(int(content["id"].(float64))))
	require.Equal(t, "sandbox.killed", got.header.Get(channels.EventTypeHeader))

	got.header.Set(channels.TimestampHeader, strconv.FormatInt(time.Now().Add(-time.Hour).Unix(), 10))
	require.ErrorIs(t, channels.Verify(channel.Secret, got.header, got.body, time.Minute), channels.ErrSignature)
	require.ErrorIs(t, channels.Verify(channel.Secret, got.header, got.body, 2*time.Hour), channels.ErrSignature, "the signature is over the timestamp too")
	require.ErrorIs(t, channels.Verify(channel.Secret, http.Header{}, got.body, time.Minute), channels.ErrSignature)

	delivery := w.awaitState(t, channel.ID, channels.Delivered)
	require.Equal(t, events.SandboxKilled, delivery.Event.Type)
	require.Len(t, delivery.Attempts, 1)
	require.Equal(t, http.StatusOK, delivery.Attempts[0].StatusCode)
	require.Empty(t, delivery.Attempts[0].Failure)
	require.NotNil(t, delivery.FinishedAt)
}

func TestDelivery_IsTriedAgainUntilItIsTaken(t *testing.T) {
	t.Parallel()
	w, receiver := newWorld(t, options{allowed: []netip.Prefix{loopback}}), startReceiver(t, 500, 302, 200)
	channel := w.create(t, channels.Webhook, channels.Config{URL: receiver.URL}, "key.*")
	w.record(t, events.KeyCreated, "k")
	delivery := w.awaitState(t, channel.ID, channels.Delivered)
	require.Len(t, delivery.Attempts, 3)
	require.Equal(t, 302, delivery.Attempts[1].StatusCode, "a redirect is not followed")
	require.Contains(t, delivery.Attempts[0].Failure, "500")
	first, last := receiver.next(t), receiver.next(t)
	require.Equal(t, first.header.Get(channels.IDHeader), last.header.Get(channels.IDHeader))
}

func TestDelivery_BecomesADeadLetterThatCanBeSentAgain(t *testing.T) {
	t.Parallel()
	statuses := make([]int, 0, channels.Attempts+1)
	for range channels.Attempts {
		statuses = append(statuses, 503)
	}
	w, receiver := newWorld(t, options{allowed: []netip.Prefix{loopback}}), startReceiver(t, append(statuses, 200)...)
	channel := w.create(t, channels.Webhook, channels.Config{URL: receiver.URL}, "key.*")
	w.record(t, events.KeyCreated, "k")
	dead := w.awaitState(t, channel.ID, channels.Dead)
	require.Len(t, dead.Attempts, channels.Attempts)
	again, err := w.service.Redeliver(t.Context(), w.team, channel.ID, dead.ID, nil)
	require.NoError(t, err)
	require.Equal(t, channels.Pending, again.State)
	delivered := w.awaitState(t, channel.ID, channels.Delivered)
	require.Equal(t, dead.ID, delivered.ID)
	require.Len(t, delivered.Attempts, channels.Attempts+1)
}

func TestRedeliver_RefusesWhatIsOnItsWayOrNotThere(t *testing.T) {
	t.Parallel()
	w, receiver := newWorld(t, options{allowed: []netip.Prefix{loopback}, delay: time.Hour}), startReceiver(t, 500)
	channel := w.create(t, channels.Webhook, channels.Config{URL: receiver.URL}, "key.*")
	delivery, err := w.service.Test(t.Context(), w.team, channel.ID)
	require.NoError(t, err)
	tried := w.await(t, channel.ID, "the test must be tried", func(d channels.Delivery) bool { return len(d.Attempts) > 0 && d.ID == delivery.ID })
	require.Equal(t, channels.Pending, tried.State)
	require.WithinDuration(t, time.Now().Add(time.Hour), *tried.NextAttemptAt, time.Minute)
	_, err = w.service.Redeliver(t.Context(), w.team, channel.ID, delivery.ID, nil)
	require.True(t, fault.Is(err, fault.Conflict), "%v", err)
	_, err = w.service.Redeliver(t.Context(), w.team, channel.ID, uuid.New(), nil)
	require.True(t, fault.Is(err, fault.NotFound), "%v", err)
	_, err = w.service.Redeliver(t.Context(), uuid.New(), channel.ID, delivery.ID, nil)
	require.True(t, fault.Is(err, fault.NotFound), "%v", err)
}

func TestDelivery_IsGivenUpAtOnceWhereTheReceiverIsGone(t *testing.T) {
	t.Parallel()
	w, receiver := newWorld(t, options{allowed: []netip.Prefix{loopback}}), startReceiver(t, http.StatusGone)
	channel := w.create(t, channels.Webhook, channels.Config{URL: receiver.URL}, "key.*")
	_, err := w.service.Test(t.Context(), w.team, channel.ID)
	require.NoError(t, err)
	require.Len(t, w.awaitState(t, channel.ID, channels.Dead).Attempts, 1)
}

func TestDelivery_NeverGoesToAPrivateAddress(t *testing.T) {
	t.Parallel()
	w, receiver := newWorld(t, options{delay: time.Hour}), startReceiver(t)
	channel := w.create(t, channels.Webhook, channels.Config{URL: receiver.URL}, "key.*")
	_, err := w.service.Test(t.Context(), w.team, channel.ID)
	require.NoError(t, err)
	tried := w.await(t, channel.ID, "the test must be tried", func(d channels.Delivery) bool { return len(d.Attempts) > 0 })
	require.Equal(t, channels.FailureForbiddenAddress, tried.Attempts[0].Failure)
	require.Empty(t, receiver.requests)
}

func TestDispatcher_SendsNothingToChannelsThatAreOffOrAnotherTeams(t *testing.T) {
	t.Parallel()
	w, receiver := newWorld(t, options{allowed: []netip.Prefix{loopback}}), startReceiver(t)
	off := w.create(t, channels.Webhook, channels.Config{URL: receiver.URL + "/off"}, "key.*")
	disabled := false
	_, err := w.service.Update(t.Context(), w.team, off.ID, channels.Change{Enabled: &disabled})
	require.NoError(t, err)
	w.create(t, channels.Webhook, channels.Config{URL: receiver.URL + "/on"}, "key.*")
	_, err = w.pool.Exec(t.Context(), `INSERT INTO events (id, team_id, type, resource_id) VALUES (0, $1, 'key.created', 'theirs')`, uuid.New())
	require.NoError(t, err)
	w.record(t, events.KeyCreated, "ours")
	got := receiver.next(t)
	require.Equal(t, "/on", got.path)
	require.Equal(t, "ours", got.decode(t)["resourceID"])
	require.Eventually(t, func() bool {
		var waiting int
		require.NoError(t, w.pool.QueryRow(t.Context(), `SELECT count(*) FROM events WHERE NOT dispatched`).Scan(&waiting))
		return waiting == 0
	}, patience, 20*time.Millisecond)
	require.Empty(t, receiver.requests)
	_, err = w.service.Test(t.Context(), w.team, off.ID)
	require.NoError(t, err)
	require.Equal(t, "/off", receiver.next(t).path, "a test goes through a channel that is off")
}

func TestBackOff_DoublesWithJitterUpToAnHour(t *testing.T) {
	t.Parallel()
	want := 5 * time.Second
	for attempt := int32(1); attempt <= 40; attempt++ {
		for range 20 {
			got := channels.BackOff(attempt)
			require.GreaterOrEqual(t, got, want/2)
			require.LessOrEqual(t, got, want)
		}
		want = min(2*want, time.Hour)
	}
}

func TestReplicas_DeliverEachEventOnce(t *testing.T) {
	t.Parallel()
	const many = 60
	with := options{allowed: []netip.Prefix{loopback}}
	w, receiver := newWorld(t, with), startReceiver(t)
	w.startReplica(t, with)
	channel := w.create(t, channels.Webhook, channels.Config{URL: receiver.URL}, "key.*")
	for i := range many {
		w.record(t, events.KeyUpdated, strconv.Itoa(i))
	}
	seen := map[string]bool{}
	for range many {
		seen[receiver.next(t).decode(t)["resourceID"].(string)] = true
	}
	require.Len(t, seen, many)
	require.Eventually(t, func() bool {
		delivered, err := w.service.Deliveries(t.Context(), w.team, channel.ID, channels.DeliveryPage{State: channels.Delivered, Limit: 2 * many})
		require.NoError(t, err)
		return len(delivered) == many
	}, patience, 20*time.Millisecond)
	require.Empty(t, receiver.requests)
}

// Events that were stored while no control plane ran are not announced to one.
func TestDispatcher_FindsEventsThatWereNotAnnounced(t *testing.T) {
	t.Parallel()
	with := options{allowed: []netip.Prefix{loopback}}
	w, receiver := newWorld(t, with), startReceiver(t)
	w.create(t, channels.Webhook, channels.Config{URL: receiver.URL}, "key.*")
	_, err := w.pool.Exec(t.Context(), `ALTER TABLE events DISABLE TRIGGER events_announce`)
	require.NoError(t, err)
	w.record(t, events.KeyCreated, "unannounced")
	require.Equal(t, "unannounced", receiver.next(t).decode(t)["resourceID"])
}
