package builds_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/pkg/build"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/service/builds"
	"git.omukk.dev/wrenn/sandbox/pkg/service/servicetest"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
)

// copying is a step that needs an upload.
var copying = build.Instruction{Type: "COPY", Args: []string{"a", "/a"}, FilesHash: strings.Repeat("ab", 32)}

func TestDrive_GoesOnWhereADeadControlPlaneEnded(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	dead := f.service(t, 1_000_000) // no claimant that lives has this number
	of := f.request(t, "mine")
	require.NoError(t, f.start(t, f.Team, of.TemplateID, of.ID.String(), build.Order{FromTemplate: "base"}))
	f.drive(t, dead, f.queue.next(t))
	f.awaitHost(t, of)
	f.Agent.Builder.Say(of.ID.String(), "1", "one", "two")
	require.Eventually(t, func() bool { _, status := f.status(t, of); return len(status.Entries) == 2 }, servicetest.Patience, time.Millisecond)
	require.NoError(t, f.builds.Sweep(t.Context()))
	job := f.queue.next(t)
	require.EqualValues(t, 2, job.Turn)
	require.NoError(t, f.builds.Sweep(t.Context()), "a build that no control plane has claimed yet is not abandoned")
	wait := f.drive(t, f.builds, job)
	f.Agent.Builder.Say(of.ID.String(), "1", "three")
	f.Agent.Builder.Finish(of.ID.String())
	require.NoError(t, wait())
	found, status := f.status(t, of)
	require.Equal(t, templates.StatusReady, found.Status)
	require.Equal(t, []string{"one", "two", "three"}, texts(status.Entries), "each once")
	require.Equal(t, 1, f.Agent.Builder.Starts())
	stale := job
	stale.Turn = 1
	require.NoError(t, f.builds.Drive(t.Context(), stale))
}

func TestDrive_StartsAgainAfterARestartOfTheAgentButNotForever(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	of, wait := f.begin(t, "mine")
	for attempt := 1; attempt <= 4; attempt++ {
		require.Eventually(t, func() bool { return f.Agent.Builder.Starts() == attempt }, servicetest.Patience, time.Millisecond)
		f.Agent.Builder.Say(of.ID.String(), "1", fmt.Sprintf("of attempt %d", attempt))
		require.Eventually(t, func() bool {
			_, status := f.status(t, of)
			return strings.Contains(strings.Join(texts(status.Entries), " "), fmt.Sprintf("of attempt %d", attempt))
		}, servicetest.Patience, time.Millisecond, "the log of each attempt is stored")
		f.Agent.Builder.Restart()
	}
	require.NoError(t, wait())
	require.Contains(t, f.failedWith(t, of, build.CauseInternal).Message, "restarted 4 times")
	require.Equal(t, []string{of.ID.String()}, f.strays(t), "the agent may have finished it before it ended")
	f.setHost(t, f.Host, "unreachable")
	require.NoError(t, f.builds.Sweep(t.Context()))
	require.Len(t, f.strays(t), 1)
	f.setHost(t, f.Host, "ready")
	require.NoError(t, f.builds.Sweep(t.Context()))
	require.Empty(t, f.strays(t))
	_, err := f.Pool.Exec(t.Context(), "INSERT INTO stray_builds (host_id, build_id) VALUES ($1, $2)", f.Host, of.ID)
	require.NoError(t, err)
	f.setHost(t, f.Host, "retired")
	require.NoError(t, f.builds.Sweep(t.Context()))
	require.Empty(t, f.strays(t), "what a retired host has is lost")
}

// strays are the builds that are to be removed from hosts.
func (f *fixture) strays(t *testing.T) []string {
	t.Helper()
	rows, err := f.Pool.Query(t.Context(), "SELECT build_id::text FROM stray_builds")
	require.NoError(t, err)
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return found
}

// held is what a host has promised: vCPUs, memory and disk.
func (f *fixture) held(t *testing.T, hostID uuid.UUID) [3]int64 {
	t.Helper()
	var held [3]int64
	require.NoError(t, f.Pool.QueryRow(t.Context(), "SELECT vcpu_allocated, memory_mib_allocated, disk_mib_allocated FROM host_loads WHERE host_id = $1", hostID).
		Scan(&held[0], &held[1], &held[2]))
	return held
}

func TestBuilds_HoldRoomOnTheirHostWhileTheyAreWorkedOn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	second, other := f.SecondHost(t)
	f.setHost(t, second, "draining")
	none, size := [3]int64{}, [3]int64{2, 1024, 10240}
	waiting := f.request(t, "waiting")
	require.Equal(t, none, f.held(t, f.Host), "one that was not started has no VM")
	require.NoError(t, f.builds.Cancel(t.Context(), f.Team, "waiting", waiting.ID.String()))
	failing, wait := f.begin(t, "failing")
	f.awaitHost(t, failing)
	require.Equal(t, size, f.held(t, f.Host))
	f.Agent.Builder.Fail(failing.ID.String(), &pb.BuildFailure{Message: "no"})
	require.NoError(t, wait())
	require.Equal(t, none, f.held(t, f.Host))

	moved, wait := f.begin(t, "moved")
	f.awaitHost(t, moved)
	_, err := f.Pool.Exec(t.Context(), "UPDATE host_loads SET vcpu_capacity = 3 WHERE host_id = $1", f.Host)
	require.NoError(t, err)
	_, err = f.builds.Request(t.Context(), f.Team, builds.Request{Name: "more"})
	require.True(t, fault.Is(err, fault.Exhausted), "%v", err)
	f.setHost(t, second, "ready")
	f.setHost(t, f.Host, "draining")
	require.Eventually(t, func() bool { return other.Builder.Request(moved.ID.String()) != nil }, servicetest.Patience, time.Millisecond)
	require.Equal(t, [2][3]int64{none, size}, [2][3]int64{f.held(t, f.Host), f.held(t, second)})
	other.Builder.Finish(moved.ID.String())
	require.NoError(t, wait())
	require.Equal(t, none, f.held(t, second))

	_, wait = f.begin(t, "deleted")
	_, err = f.Pool.Exec(t.Context(), "DELETE FROM templates WHERE team_id = $1", f.Team)
	require.NoError(t, err)
	require.NoError(t, wait())
	require.Equal(t, none, f.held(t, second))
}

// The host of a build is chosen before the template that it is from is known.
func TestDrive_GoesWithItsUploadsToTheHostOfItsBase(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	second, other := f.SecondHost(t)
	f.setHost(t, f.Host, "draining")
	parent, wait := f.begin(t, "parent")
	require.Eventually(t, func() bool { return other.Builder.Request(parent.ID.String()) != nil }, servicetest.Patience, time.Millisecond)
	other.Builder.Finish(parent.ID.String())
	require.NoError(t, wait())
	f.setHost(t, f.Host, "ready")
	f.setHost(t, second, "draining")
	f.upload(t, copying.FilesHash, []byte("files"))
	start := func(name string) (builds.Requested, builds.Job) {
		of := f.request(t, name)
		require.NoError(t, f.start(t, f.Team, of.TemplateID, of.ID.String(), build.Order{FromTemplate: "parent", Steps: []build.Instruction{copying}}))
		return of, f.queue.next(t)
	}
	away, job := start("away")
	require.NoError(t, f.drive(t, f.builds, job)())
	require.Contains(t, f.failedWith(t, away, build.CauseHostGone).Message, "no host that has the template is ready")

	child, job := start("child")
	f.setHost(t, second, "ready")
	wait = f.drive(t, f.builds, job)
	require.Eventually(t, func() bool { return other.Builder.Request(child.ID.String()) != nil }, servicetest.Patience, time.Millisecond)
	copied, _ := other.Builder.Upload(f.Team.String(), copying.FilesHash)
	require.Equal(t, "files", string(copied))
	other.Builder.Finish(child.ID.String())
	require.NoError(t, wait())
}

// A control plane that is killed leaves its job in the queue as one that runs.
func TestSweep_EndsTheJobsOfDeadControlPlanes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	running, wait := f.begin(t, "running")
	f.awaitHost(t, running)
	ended, waitEnded := f.begin(t, "ended")
	f.awaitHost(t, ended)
	f.Agent.Builder.Finish(ended.ID.String())
	require.NoError(t, waitEnded())
	insert := func(of string, turn int, age time.Duration) {
		_, err := f.Pool.Exec(t.Context(), `INSERT INTO river_job (kind, queue, state, max_attempts, args, attempted_at)
			VALUES ('build_template', 'builds', 'running', 1, jsonb_build_object('buildID', $1::text, 'turn', $2::integer), now() - $3::interval)`, of, turn, age)
		require.NoError(t, err)
	}
	insert(running.ID.String(), 1, time.Hour)
	insert(running.ID.String(), 0, time.Second)
	insert(ended.ID.String(), 1, time.Hour)
	insert(uuid.NewString(), 1, time.Hour)
	left := func() (count int) {
		require.NoError(t, f.builds.Sweep(t.Context()))
		require.NoError(t, f.Pool.QueryRow(t.Context(), "SELECT count(*) FROM river_job WHERE kind = 'build_template' AND finalized_at IS NULL").Scan(&count))
		return count
	}
	require.Equal(t, 3, left(), "that of a build that is no more")
	_, err := f.Pool.Exec(t.Context(), "UPDATE template_builds SET updated_at = now() - interval '1 minute'")
	require.NoError(t, err)
	require.Equal(t, 2, left(), "that of a build that has ended")
	_, err = f.Pool.Exec(t.Context(), "UPDATE river_job SET attempted_at = now() - interval '1 hour'; UPDATE build_requests SET turn_at = now() - interval '1 minute'")
	require.NoError(t, err)
	require.Equal(t, 1, left(), "that of an earlier turn")
	f.Agent.Builder.Finish(running.ID.String())
	require.NoError(t, wait())
}

// A build that came back to the host that it had left is not ended there.
func TestSweep_LeavesABuildThatCameBackToItsHost(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	of, wait := f.begin(t, "mine")
	f.awaitHost(t, of)
	_, err := f.Pool.Exec(t.Context(), "INSERT INTO stray_builds (host_id, build_id) VALUES ($1, $2)", f.Host, of.ID)
	require.NoError(t, err)
	require.NoError(t, f.builds.Sweep(t.Context()))
	require.False(t, f.Agent.Builder.Cancelled(of.ID.String()))
	f.Agent.Builder.Finish(of.ID.String())
	require.NoError(t, wait())
	require.NoError(t, f.builds.Sweep(t.Context()))
	require.Empty(t, f.strays(t))
	found, _ := f.status(t, of)
	require.Equal(t, templates.StatusReady, found.Status)
}

// upload stores files for builds on the first host.
func (f *fixture) upload(t *testing.T, hash string, content []byte) {
	t.Helper()
	require.NoError(t, f.Hosts.BuildHost(f.Host).PutBuildFiles(t.Context(), f.Team.String(), hash, int64(len(content)), bytes.NewReader(content)))
}

func TestDrive_MovesFromAHostThatDrainsWithItsUploads(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	second, other := f.SecondHost(t)
	f.setHost(t, second, "draining")
	content := bytes.Repeat([]byte("files "), 1000)
	f.upload(t, copying.FilesHash, content)
	moved, wait := f.begin(t, "moved", copying)
	f.awaitHost(t, moved)
	missing := copying
	missing.FilesHash = strings.Repeat("cd", 32)
	without, waitWithout := f.begin(t, "without", missing)
	f.awaitHost(t, without)
	f.setHost(t, second, "ready")
	f.setHost(t, f.Host, "draining")
	require.NoError(t, waitWithout())
	require.Contains(t, f.failedWith(t, without, build.CauseFileMissing).Message, "no longer on the host")
	require.Eventually(t, func() bool { return other.Builder.Request(moved.ID.String()) != nil }, servicetest.Patience, time.Millisecond)
	copied, has := other.Builder.Upload(f.Team.String(), copying.FilesHash)
	require.True(t, has)
	require.Equal(t, content, copied)
	other.Builder.Finish(moved.ID.String())
	require.NoError(t, wait())
	found, _ := f.status(t, moved)
	require.Equal(t, templates.StatusReady, found.Status)
	startable, err := f.Templates.FindStartable(t.Context(), f.Team, "moved", "")
	require.NoError(t, err)
	require.Equal(t, moved.ID, startable.BuildID)
}

func TestDrive_WaitsForAHostThatIsAwayForALittle(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	of, wait := f.begin(t, "mine", copying)
	f.awaitHost(t, of)
	f.setHost(t, f.Host, "unreachable")
	f.setHost(t, f.Host, "ready")
	f.Agent.Builder.Finish(of.ID.String())
	require.NoError(t, wait())
	found, _ := f.status(t, of)
	require.Equal(t, templates.StatusReady, found.Status)

	of, wait = f.begin(t, "other", copying)
	f.awaitHost(t, of)
	f.setHost(t, f.Host, "unreachable")
	require.NoError(t, wait())
	require.Contains(t, f.failedWith(t, of, build.CauseHostGone).Message, "unreachable")
}

func TestDrive_FailsClearlyOnHostsThatCannotBuild(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Agent.Builder.Refuse(host.Refuse(pb.Reason_REASON_NO_ROOM, "the host is full of builds", errors.New("full")))
	full, wait := f.begin(t, "full")
	require.NoError(t, wait())
	require.Equal(t, "the host is full of builds", f.failedWith(t, full, build.CauseNoSpace).Message)
	_, status := f.status(t, full)
	require.Equal(t, []string{"waiting for room on the host"}, texts(status.Entries))

	f.Agent.Builder.Refuse(host.Refuse(pb.Reason_REASON_INVALID_REQUEST, "step 1 is wrong", errors.New("wrong")))
	wrong, wait := f.begin(t, "wrong")
	require.NoError(t, wait())
	require.Equal(t, "step 1 is wrong", f.failedWith(t, wrong, build.CauseRefused).Message)

	f.Agent.Builder.Refuse(nil)
	f.Agent.Builder.BeOld()
	old, wait := f.begin(t, "old")
	require.NoError(t, wait())
	require.Contains(t, f.failedWith(t, old, build.CauseUnsupported).Message, "older version")
}

func TestDrive_BoundsTheLogAndKeepsWhatCanBeStored(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	of, wait := f.begin(t, "mine")
	f.awaitHost(t, of)
	many := make([]string, 0, 21_000)
	for i := range cap(many) {
		many = append(many, fmt.Sprint(i))
	}
	many[0], many[1] = "a\x00b", strings.Repeat("x", 20<<10)
	f.Agent.Builder.Say(of.ID.String(), "1", many...)
	f.Agent.Builder.Finish(of.ID.String())
	require.NoError(t, wait())
	var stored int
	require.NoError(t, f.Pool.QueryRow(t.Context(), "SELECT count(*) FROM build_logs").Scan(&stored))
	require.Equal(t, 20_000, stored)
	_, status := f.status(t, of)
	require.Equal(t, "a\uFFFDb", status.Entries[0].Text)
	require.Less(t, len(status.Entries[1].Text), 17<<10)
	last, err := f.builds.Status(t.Context(), f.Team, of.ID, "", 19_999, 10)
	require.NoError(t, err)
	require.Contains(t, last.Entries[0].Text, "the rest is left out")
	deleted, err := f.builds.ExpireLogs(t.Context(), time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.EqualValues(t, 20_000, deleted)
}

// The store of a result is one transaction with its events and its usage.
func TestDrive_TellsAndCountsWhatIsBuilt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	of, wait := f.begin(t, "mine")
	f.awaitHost(t, of)
	f.Agent.Builder.Finish(of.ID.String())
	require.NoError(t, wait())
	failed, wait := f.begin(t, "mine")
	f.awaitHost(t, failed)
	f.Agent.Builder.Fail(failed.ID.String(), &pb.BuildFailure{
		Cause: pb.BuildFailureCause_BUILD_FAILURE_CAUSE_TIMED_OUT, Step: "1", Message: "too long", LastLines: []string{"what was printed"},
	})
	require.NoError(t, wait())
	cancelled := f.request(t, "mine")
	require.NoError(t, f.builds.Cancel(t.Context(), f.Team, "mine", cancelled.ID.String()))
	data := `"memoryMB": 1024, "vcpuCount": 2, "templateID": "` + of.TemplateID + `"`
	told := servicetest.Told(t, f.Pool, f.Team)
	require.Equal(t, []string{
		"template.created " + of.TemplateID + ` {"public": false}`,
		"build.started " + of.ID.String() + " {" + data + "}",
		"template.built " + of.TemplateID + ` {"buildID": "` + of.ID.String() + `"}`,
		"build.ready " + of.ID.String() + " {" + data + "}",
		"build.started " + failed.ID.String() + " {" + data + "}",
		"template.build_failed " + of.TemplateID + ` {"buildID": "` + failed.ID.String() + `"}`,
		"build.failed " + failed.ID.String() + ` {"step": "1", "cause": "timed_out", "message": "too long", ` + data + "}",
		"build.cancelled " + cancelled.ID.String() + ` {"step": "", "cause": "cancelled", "message": "the build was cancelled", ` + data + "}",
	}, told)
	var open, closed int
	require.NoError(t, f.Pool.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE ended_at IS NULL), count(*) FILTER (WHERE ended_at IS NOT NULL)
		FROM build_usage`).Scan(&open, &closed))
	require.Equal(t, []int{0, 2}, []int{open, closed})
	_, err := f.Pool.Exec(t.Context(), "UPDATE build_usage SET started_at = '2026-01-01 12:00Z', ended_at = '2026-01-01 12:01Z'")
	require.NoError(t, err)
	half := time.Date(2026, 1, 1, 12, 0, 30, 0, time.UTC)
	used, err := usage.New(f.Pool).Between(t.Context(), f.Team, half.Add(-time.Hour), half)
	require.NoError(t, err)
	require.EqualValues(t, 2, used.Builds)
	require.InDelta(t, 2*2*30, used.BuildVCPUSeconds, 1e-6)
	require.InDelta(t, 2*30, used.BuildGiBSeconds, 1e-6)
}

// A host that was away when its build ended elsewhere is rid of it when it is back.
func TestSweep_RemovesWhatAHostThatWasAwayHasOfABuild(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	of, wait := f.begin(t, "mine", copying)
	f.awaitHost(t, of)
	link := f.Hosts.Link(f.Host)
	f.Hosts.Put(f.Host, host.NewClient("/nonexistent.sock"))
	f.setHost(t, f.Host, "unreachable")
	require.NoError(t, wait())
	f.failedWith(t, of, build.CauseHostGone)
	f.Hosts.Put(f.Host, link)
	require.NoError(t, f.builds.Sweep(t.Context()))
	require.False(t, f.Agent.Builder.Cancelled(of.ID.String()), "it is still away")
	f.setHost(t, f.Host, "ready")
	require.NoError(t, f.builds.Sweep(t.Context()))
	require.True(t, f.Agent.Builder.Cancelled(of.ID.String()))
	require.Empty(t, f.strays(t))
}
