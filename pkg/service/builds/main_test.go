package builds_test

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/build"
	"git.omukk.dev/wrenn/sandbox/pkg/db/dbtest"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
	"git.omukk.dev/wrenn/sandbox/pkg/service/builds"
	"git.omukk.dev/wrenn/sandbox/pkg/service/servicetest"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// fixture is a control plane's service of builds over a real database and a host agent for
// tests.
type fixture struct {
	*servicetest.Fixture
	builds *builds.Service
	queue  *queue
	guard  *guard
}

// queue keeps the jobs that were enqueued, for the test to work on.
type queue struct {
	mutex sync.Mutex
	jobs  []builds.Job
}

func (q *queue) InsertTx(_ context.Context, _ pgx.Tx, job river.JobArgs, _ *river.InsertOpts) (*rivertype.JobInsertResult, error) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	q.jobs = append(q.jobs, job.(builds.Job))
	return &rivertype.JobInsertResult{}, nil
}

// next takes the oldest job.
func (q *queue) next(t *testing.T) builds.Job {
	t.Helper()
	var taken builds.Job
	require.Eventually(t, func() bool {
		q.mutex.Lock()
		defer q.mutex.Unlock()
		if len(q.jobs) == 0 {
			return false
		}
		taken, q.jobs = q.jobs[0], q.jobs[1:]
		return true
	}, servicetest.Patience, time.Millisecond, "a job is enqueued")
	return taken
}

// guard refuses builds with an error.
type guard struct {
	err   error
	asked []templates.Building
}

func (g *guard) BeforeBuild(_ context.Context, wanted templates.Building) error {
	g.asked = append(g.asked, wanted)
	return g.err
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{Fixture: servicetest.New(t), queue: &queue{}, guard: &guard{}}
	f.builds = f.service(t, f.Claimant.ID())
	return f
}

type claimant int32

func (c claimant) ID() int32 { return int32(c) }

// service makes the service of a control plane with a claimant's number.
func (f *fixture) service(t *testing.T, number int32) *builds.Service {
	t.Helper()
	key := make([]byte, seal.KeySize)
	_, _ = rand.Read(key)
	keyring, err := seal.NewKeyring(key)
	require.NoError(t, err)
	tokens, err := auth.NewTokens(key)
	require.NoError(t, err)
	return builds.New(f.Pool, claimant(number), tokens, keyring, f.Hosts.BuildHost, f.Placement, f.queue, f.guard, f.Log).Impatient()
}

func (f *fixture) request(t *testing.T, name string) builds.Requested {
	t.Helper()
	requested, err := f.builds.Request(t.Context(), f.Team, builds.Request{Name: name})
	require.NoError(t, err)
	return requested
}

// start starts a build from an order.
func (f *fixture) start(t *testing.T, teamID uuid.UUID, template, buildID string, order build.Order) error {
	t.Helper()
	definition, confidential, err := order.Definition()
	require.NoError(t, err)
	return f.builds.Start(t.Context(), teamID, template, buildID, definition, confidential)
}

// begin requests and starts a build from the base template, and drives it in the
// background. wait returns when the job has ended.
func (f *fixture) begin(t *testing.T, name string, steps ...build.Instruction) (begun builds.Requested, wait func() error) {
	t.Helper()
	begun = f.request(t, name)
	require.NoError(t, f.start(t, f.Team, begun.TemplateID, begun.ID.String(), build.Order{FromTemplate: "base", Steps: steps}))
	return begun, f.drive(t, f.builds, f.queue.next(t))
}

// drive works on a job in the background.
func (f *fixture) drive(t *testing.T, by *builds.Service, job builds.Job) (wait func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- by.Drive(ctx, job) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			t.Log("the job has ended:", err)
		case <-time.After(servicetest.Patience):
			t.Error("the job does not end")
		}
		close(ended)
	})
	return func() error {
		select {
		case err := <-ended:
			ended <- err // for the cleanup
			return err
		case <-time.After(servicetest.Patience):
			return errors.New("the job does not end")
		}
	}
}

// awaitHost waits until the host builds.
func (f *fixture) awaitHost(t *testing.T, of builds.Requested) {
	t.Helper()
	require.Eventually(t, func() bool { return f.Agent.Builder.Request(of.ID.String()) != nil }, servicetest.Patience, time.Millisecond)
}

func (f *fixture) status(t *testing.T, of builds.Requested) (templates.Build, builds.Status) {
	t.Helper()
	found, err := f.Templates.Build(t.Context(), f.Team, of.TemplateID, of.ID.String())
	require.NoError(t, err)
	status, err := f.builds.Status(t.Context(), f.Team, of.ID, "", 0, 1000)
	require.NoError(t, err)
	return found, status
}

func texts(entries []build.LogEntry) []string {
	all := make([]string, 0, len(entries))
	for _, entry := range entries {
		all = append(all, entry.Text)
	}
	return all
}

// failedWith requires that a build has failed for a cause.
func (f *fixture) failedWith(t *testing.T, of builds.Requested, cause build.Cause) builds.Reason {
	t.Helper()
	found, status := f.status(t, of)
	require.Equal(t, templates.StatusFailed, found.Status)
	require.NotNil(t, status.Reason)
	require.Equal(t, cause, status.Reason.Cause, "%+v", status.Reason)
	return *status.Reason
}

func (f *fixture) setHost(t *testing.T, hostID uuid.UUID, state string) {
	t.Helper()
	_, err := f.Pool.Exec(t.Context(), "UPDATE hosts SET state = $2, state_changed_at = now() WHERE id = $1", hostID, state)
	require.NoError(t, err)
}
