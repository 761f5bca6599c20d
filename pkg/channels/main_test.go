package channels_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/channels"
	"git.omukk.dev/wrenn/sandbox/pkg/db/dbtest"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/mail"
	"git.omukk.dev/wrenn/sandbox/pkg/mail/mailtest"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
)

const patience = 20 * time.Second

var loopback = netip.MustParsePrefix("127.0.0.0/8")

func TestMain(m *testing.M) { dbtest.Main(m) }

// world is a team with channels and what delivers to them.
type world struct {
	pool    *pgxpool.Pool
	keyring *seal.Keyring
	service *channels.Service
	mail    *mailtest.Server
	team    uuid.UUID
}

type options struct {
	allowed []netip.Prefix
	delay   time.Duration
}

func newKey() []byte {
	key := make([]byte, seal.KeySize)
	_, _ = rand.Read(key)
	return key
}

func newWorld(t *testing.T, with options) *world {
	t.Helper()
	w := &world{pool: dbtest.Open(t), mail: mailtest.Start(t), team: uuid.New()}
	_, err := w.pool.Exec(t.Context(), `INSERT INTO teams (id, slug, name) VALUES ($1, 'team', 'Team')`, w.team)
	require.NoError(t, err)
	w.keyring, err = seal.NewKeyring(newKey())
	require.NoError(t, err)
	w.service = channels.New(w.pool, w.keyring, w.startReplica(t, with))
	return w
}

// startReplica runs what one control plane runs until the test ends.
func (w *world) startReplica(t *testing.T, with options) channels.Queue {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	mailer, err := mail.NewSMTP(mail.SMTPConfig{Address: w.mail.Address, From: "wrenn@example.com", Security: mail.NoTLS})
	require.NoError(t, err)
	workers := river.NewWorkers()
	worker := channels.NewWorker(w.pool, w.keyring, mailer, with.allowed, log)
	worker.SetDelay(func(int32) time.Duration { return with.delay })
	river.AddWorker(workers, worker)
	jobs, err := river.NewClient(riverpgxv5.New(w.pool), &river.Config{
		Logger: log, Workers: workers, FetchPollInterval: 50 * time.Millisecond, FetchCooldown: 10 * time.Millisecond, TestOnly: true,
		Queues: map[string]river.QueueConfig{channels.QueueName: {MaxWorkers: 5}},
	})
	require.NoError(t, err)
	bus, err := events.NewBus(t.Context(), w.pool.Config().ConnString(), w.pool, log)
	require.NoError(t, err)
	dispatcher := channels.NewDispatcher(w.pool, bus, jobs, log)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { bus.Run(ctx) })
	running.Go(func() { dispatcher.Run(ctx) })
	require.NoError(t, jobs.Start(ctx))
	t.Cleanup(func() {
		stopping, stopped := context.WithTimeout(context.Background(), patience)
		defer stopped()
		require.NoError(t, jobs.StopAndCancel(stopping))
		cancel()
		running.Wait()
	})
	return jobs
}

func (w *world) record(t *testing.T, kind events.Type, resource string) {
	t.Helper()
	err := pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error {
		return events.Record(t.Context(), tx, w.team, kind, resource, map[string]string{"reason": "a <test>"})
	})
	require.NoError(t, err)
}

func (w *world) create(t *testing.T, kind channels.Kind, config channels.Config, types ...string) channels.Channel {
	t.Helper()
	made, err := w.service.Create(t.Context(), w.team, channels.NewChannel{
		Kind: kind, Name: "a channel", EventTypes: types, Config: config,
	})
	require.NoError(t, err)
	return made
}

// await polls a channel's newest delivery until check is content with it.
func (w *world) await(t *testing.T, channel uuid.UUID, what string, check func(channels.Delivery) bool) channels.Delivery {
	t.Helper()
	var last channels.Delivery
	require.Eventually(t, func() bool {
		listed, err := w.service.Deliveries(t.Context(), w.team, channel, channels.DeliveryPage{Limit: 1})
		require.NoError(t, err)
		if len(listed) == 0 {
			return false
		}
		last = listed[0]
		return check(last)
	}, patience, 20*time.Millisecond, what)
	return last
}

func (w *world) awaitState(t *testing.T, channel uuid.UUID, state channels.DeliveryState) channels.Delivery {
	t.Helper()
	return w.await(t, channel, "the delivery must become "+string(state), func(d channels.Delivery) bool { return d.State == state })
}

// received is a request that came to a receiver.
type received struct {
	method, path string
	header       http.Header
	body         []byte
}

func (r received) decode(t *testing.T) map[string]any {
	t.Helper()
	var content map[string]any
	require.NoError(t, json.NewDecoder(bytes.NewReader(r.body)).Decode(&content))
	return content
}

// receiver is a server whose answers a test chooses.
type receiver struct {
	*httptest.Server
	requests chan received
}

// startReceiver answers with one status after the other; the last one stays.
func startReceiver(t *testing.T, statuses ...int) *receiver {
	t.Helper()
	r := &receiver{requests: make(chan received, 100)}
	var mutex sync.Mutex
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		mutex.Lock()
		status := http.StatusOK
		if len(statuses) > 0 {
			status = statuses[0]
		}
		if len(statuses) > 1 {
			statuses = statuses[1:]
		}
		mutex.Unlock()
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "an answer")
		r.requests <- received{request.Method, request.URL.Path, request.Header, body}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) next(t *testing.T) received {
	t.Helper()
	select {
	case got := <-r.requests:
		return got
	case <-time.After(patience):
		require.FailNow(t, "no request came")
		return received{}
	}
}
