package sandboxes_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host/hosttest"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
)

var (
	emulated = sandbox.Maker{Driver: "qemu", Accelerator: "tcg"}
	sentry   = sandbox.Maker{Driver: "gvisor", Accelerator: "systrap"}
)

// become restarts the host's agent with another driver.
func (f fixture) become(t *testing.T, other sandbox.Maker) {
	t.Helper()
	f.Agent.Become(other)
	require.NoError(t, f.Sync.Sync(t.Context()))
}

// demand has the team demand an isolation.
func (f fixture) demand(t *testing.T, isolation sandbox.Isolation) {
	t.Helper()
	_, err := f.Pool.Exec(t.Context(), "UPDATE teams SET isolation = $2 WHERE id = $1", f.Team, isolation)
	require.NoError(t, err)
}

func (f fixture) createWith(t *testing.T, template string, isolation sandbox.Isolation) (sandbox.Sandbox, error) {
	t.Helper()
	return f.Create(t.Context(), f.Team, sandboxes.NewSandbox{Template: template, TimeoutSeconds: 600, Isolation: isolation})
}

func requireRefused(t *testing.T, err error, code fault.Code, reason fault.Reason, words ...string) {
	t.Helper()
	require.Equal(t, code, fault.CodeOf(err), err)
	require.Equal(t, reason, fault.ReasonOf(err), err)
	for _, word := range words {
		require.ErrorContains(t, err, word)
	}
}

// secondOf makes a host with another driver. Each host has a base build of its own there.
func (f fixture) secondOf(t *testing.T, other sandbox.Maker) (uuid.UUID, *hosttest.Agent) {
	t.Helper()
	second, agent := f.SecondHost(t)
	agent.Become(other)
	_, err := f.Pool.Exec(t.Context(), "UPDATE hosts SET driver = $2, accelerator = $3 WHERE id = $1", second, other.Driver, other.Accelerator)
	require.NoError(t, err)
	build := uuid.New()
	_, err = f.Pool.Exec(t.Context(), `
		WITH other AS (
			INSERT INTO template_builds (id, template_id, status, vcpu_count, memory_mib, disk_mib, envd_version)
			SELECT $2, template_id, status, vcpu_count, memory_mib, disk_mib, envd_version FROM template_builds RETURNING id
		)
		UPDATE host_builds SET build_id = $2, driver = $3, accelerator = $4 FROM other WHERE host_id = $1`,
		second, build, other.Driver, other.Accelerator)
	require.NoError(t, err)
	return second, agent
}

func TestCreate_RunsOnAHostWithTheIsolationThatIsDemanded(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	second, _ := f.secondOf(t, sentry)
	for range 3 {
		inVM, err := f.createWith(t, "base", sandbox.VM)
		require.NoError(t, err)
		require.Equal(t, f.Host, inVM.HostID)
		require.Equal(t, sandbox.VM, f.Stored(t, inVM.ID).Isolation)
		require.Equal(t, "vm", f.Agent.Creation(inVM.ID).Isolation, "the host is told, and checks it too")
		inGVisor, err := f.createWith(t, "base", sandbox.GVisor)
		require.NoError(t, err)
		require.Equal(t, second, inGVisor.HostID)
	}
	anywhere, err := f.createWith(t, "base", "")
	require.NoError(t, err)
	require.Empty(t, f.Stored(t, anywhere.ID).Isolation)
}

func TestCreate_SaysWhichIsolationThereIs(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, err := f.createWith(t, "base", sandbox.GVisor)
	requireRefused(t, err, fault.Conflict, fault.NoCompatibleHost, "no host of this installation gives isolation gvisor", "they give vm")
	_, err = f.createWith(t, "base", "container")
	requireRefused(t, err, fault.Invalid, "", "vm or gvisor")
	require.Empty(t, f.Agent.States())
}

func TestCreate_SaysWhenOnlyHostsOfAnotherIsolationHaveTheTemplate(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.secondOf(t, sentry)
	taken, err := f.Snapshot(t.Context(), f.Team, mustCreate(t, f, sandbox.VM).ID, templates.NewSnapshot{})
	require.NoError(t, err)
	_, err = f.createWith(t, taken.ID, sandbox.GVisor)
	requireRefused(t, err, fault.Conflict, fault.NoCompatibleHost, "only hosts with isolation vm have this template")
	_, err = f.createWith(t, taken.ID, sandbox.VM)
	require.NoError(t, err)
}

func mustCreate(t *testing.T, f fixture, isolation sandbox.Isolation) sandbox.Sandbox {
	t.Helper()
	made, err := f.createWith(t, "base", isolation)
	require.NoError(t, err)
	return made
}

// The agent was started with another driver, and the control plane has not heard of it.
func TestCreate_IsRefusedByAHostThatHasJustChangedItsDriver(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Agent.Become(sentry)
	_, err := f.createWith(t, "base", sandbox.VM)
	require.Equal(t, fault.NoCompatibleHost, fault.ReasonOf(err), err)
	require.Empty(t, f.Agent.States())
}

func TestCreate_FromASnapshotIsNotPlacedWhereTheSnapshotCannotBeRestored(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	running := f.Start(t)
	whole, err := f.Snapshot(t.Context(), f.Team, running.ID, templates.NewSnapshot{})
	require.NoError(t, err)
	disk, err := f.Snapshot(t.Context(), f.Team, running.ID, templates.NewSnapshot{WithoutMemory: true})
	require.NoError(t, err)

	f.become(t, sentry)
	_, err = f.createWith(t, whole.ID, "")
	requireRefused(t, err, fault.Conflict, fault.NoCompatibleHost, "made by qemu under tcg", "former driver")
	_, err = f.createWith(t, disk.ID, "")
	require.NoError(t, err, "a disk needs no driver in particular")

	f.become(t, emulated)
	_, err = f.createWith(t, whole.ID, "")
	require.NoError(t, err)
}

func TestCreate_FromASnapshotOfAnUnknownDriverIsLeftToTheHost(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	taken, err := f.Snapshot(t.Context(), f.Team, f.Start(t).ID, templates.NewSnapshot{})
	require.NoError(t, err)
	_, err = f.Pool.Exec(t.Context(), "UPDATE host_builds SET driver = '', accelerator = ''") // as before the migration
	require.NoError(t, err)
	f.become(t, sentry)
	_, err = f.createWith(t, taken.ID, "")
	require.NoError(t, err)
}

func TestCreate_GetsWhatItsTeamDemands(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	second, _ := f.secondOf(t, sentry)
	f.demand(t, sandbox.GVisor)
	made, err := f.createWith(t, "base", "")
	require.NoError(t, err)
	require.Equal(t, second, made.HostID)
	require.Equal(t, sandbox.GVisor, f.Stored(t, made.ID).Isolation)
	_, err = f.createWith(t, "base", sandbox.VM)
	requireRefused(t, err, fault.Forbidden, fault.IsolationDenied, "isolation vm is asked for, and the team demands gvisor", "an admin of the team")
}

func TestFork_HasTheIsolationOfItsParent(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	parent := mustCreate(t, f, sandbox.VM)
	forks, err := f.Fork(t.Context(), f.Team, parent.ID, 2, 60)
	require.NoError(t, err)
	for _, fork := range forks {
		require.NoError(t, fork.Err)
		require.Equal(t, sandbox.VM, f.Stored(t, fork.Sandbox.ID).Isolation)
	}
	f.demand(t, sandbox.GVisor)
	_, err = f.Fork(t.Context(), f.Team, parent.ID, 1, 60)
	requireRefused(t, err, fault.Forbidden, fault.IsolationDenied, "the team demands isolation gvisor")
	require.Equal(t, sandbox.Running, f.Stored(t, parent.ID).State, "what runs is left alone")
}

func TestResume_NeedsTheIsolationOfTheCreate(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	demanding, undemanding := mustCreate(t, f, sandbox.VM), f.Start(t)
	for _, made := range []sandbox.Sandbox{demanding, undemanding} {
		require.NoError(t, f.Pause(t.Context(), f.Team, made.ID, sandbox.Pause{WithoutMemory: true}))
	}
	f.become(t, sentry)
	_, err := f.Resume(t.Context(), f.Team, demanding.ID, sandboxes.ResumeRequest{TimeoutSeconds: 60})
	requireRefused(t, err, fault.Conflict, fault.NoCompatibleHost, "was created with isolation vm, and its host gives gvisor")
	require.Equal(t, sandbox.Paused, f.Stored(t, demanding.ID).State)
	_, err = f.Resume(t.Context(), f.Team, undemanding.ID, sandboxes.ResumeRequest{TimeoutSeconds: 60})
	require.NoError(t, err)

	f.become(t, emulated)
	_, err = f.Resume(t.Context(), f.Team, demanding.ID, sandboxes.ResumeRequest{TimeoutSeconds: 60})
	require.NoError(t, err)
	require.Equal(t, "vm", f.Agent.Resume(demanding.ID).Isolation)
	f.RequireExactCounts(t)
}

func TestResume_NeedsTheIsolationThatTheTeamDemandsByThen(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	made := f.Start(t)
	require.NoError(t, f.Pause(t.Context(), f.Team, made.ID, sandbox.Pause{}))
	f.demand(t, sandbox.GVisor)
	_, _, err := f.Connect(t.Context(), f.Team, made.ID, sandboxes.ResumeRequest{TimeoutSeconds: 60})
	requireRefused(t, err, fault.Forbidden, fault.IsolationDenied, "the team demands isolation gvisor, and the host of sandbox "+made.ID+" gives vm")
	f.demand(t, "")
	_, _, err = f.Connect(t.Context(), f.Team, made.ID, sandboxes.ResumeRequest{TimeoutSeconds: 60})
	require.NoError(t, err)
}
