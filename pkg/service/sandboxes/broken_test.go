package sandboxes_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host/hosttest"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/service/servicetest"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
)

func TestBroken_CanOnlyBeKilledAndSaysWhy(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s, err := f.Create(t.Context(), f.Team, sandboxes.NewSandbox{Template: "base", TimeoutSeconds: 600, Lifecycle: sandbox.Lifecycle{AutoResume: true}})
	require.NoError(t, err)
	f.Agent.Put(s.ID, servicetest.SeenFailed)
	require.NoError(t, f.Reconcile(t.Context(), f.Host))
	for name, attempt := range map[string]func() error{
		"connect": func() error {
			_, _, err := f.Connect(t.Context(), f.Team, s.ID, sandboxes.ResumeRequest{TimeoutSeconds: 60})
			return err
		},
		"resume": func() error {
			_, err := f.Resume(t.Context(), f.Team, s.ID, sandboxes.ResumeRequest{TimeoutSeconds: 60})
			return err
		},
		"traffic": func() error { _, err := f.ResumeForTraffic(t.Context(), s.ID); return err },
		"pause":   func() error { return f.Pause(t.Context(), f.Team, s.ID, sandbox.Pause{}) },
		"fork":    func() error { _, err := f.Fork(t.Context(), f.Team, s.ID, 1, 60); return err },
		"snapshot": func() error {
			_, err := f.Snapshot(t.Context(), f.Team, s.ID, templates.NewSnapshot{})
			return err
		},
		"network": func() error { return f.UpdateNetwork(t.Context(), f.Team, s.ID, sandbox.Network{}) },
	} {
		err := attempt()
		require.True(t, fault.Is(err, fault.Conflict), "%s: %v", name, err)
		require.ErrorContains(t, err, hosttest.FailureReason, name)
		require.ErrorContains(t, err, "cannot be used", name)
	}
	var held, open int
	require.NoError(t, f.Pool.QueryRow(t.Context(), `SELECT u.sandbox_count + u.vcpu_count + u.memory_mib,
		(SELECT count(*) FROM usage_intervals WHERE ended_at IS NULL) FROM team_use u`).Scan(&held, &open))
	require.Zero(t, held, "it runs no more")
	require.Zero(t, open, "nor is it counted as if it did")

	require.NoError(t, f.Kill(t.Context(), f.Team, s.ID))
	require.Equal(t, sandbox.Killed, f.Stored(t, s.ID).State)
	require.Empty(t, f.Agent.States())
}

func TestBroken_IsFoundOutByWhoeverResumes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := f.Start(t)
	require.NoError(t, f.Pause(t.Context(), f.Team, s.ID, sandbox.Pause{}))
	f.Agent.Put(s.ID, servicetest.SeenFailed)
	_, _, err := f.Connect(t.Context(), f.Team, s.ID, sandboxes.ResumeRequest{TimeoutSeconds: 60})
	require.True(t, fault.Is(err, fault.Conflict), "%v", err)
	require.ErrorContains(t, err, hosttest.FailureReason)
	require.Equal(t, sandbox.Broken, f.Stored(t, s.ID).State)
}
