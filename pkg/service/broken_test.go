package service_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host/hosttest"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/service"
)

func TestBroken_CanOnlyBeKilledAndSaysWhy(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s, err := f.Create(t.Context(), f.team, service.NewSandbox{Template: "base", TimeoutSeconds: 600, AutoResume: true})
	require.NoError(t, err)
	f.agent.Put(s.ID, seenFailed)
	require.NoError(t, f.Reconcile(t.Context(), f.host))
	for name, attempt := range map[string]func() error{
		"connect": func() error {
			_, _, err := f.Connect(t.Context(), f.team, s.ID, service.ResumeRequest{TimeoutSeconds: 60})
			return err
		},
		"resume": func() error {
			_, err := f.Resume(t.Context(), f.team, s.ID, service.ResumeRequest{TimeoutSeconds: 60})
			return err
		},
		"traffic": func() error { _, err := f.ResumeForTraffic(t.Context(), s.ID); return err },
		"pause":   func() error { return f.Pause(t.Context(), f.team, s.ID, service.PauseRequest{}) },
		"fork":    func() error { _, err := f.Fork(t.Context(), f.team, s.ID, 1, 60); return err },
		"snapshot": func() error {
			_, err := f.Snapshot(t.Context(), f.team, s.ID, service.NewSnapshot{})
			return err
		},
		"network": func() error { return f.UpdateNetwork(t.Context(), f.team, s.ID, service.NetworkUpdate{}) },
	} {
		err := attempt()
		require.True(t, fault.Is(err, fault.Conflict), "%s: %v", name, err)
		require.ErrorContains(t, err, hosttest.FailureReason, name)
		require.ErrorContains(t, err, "cannot be used", name)
	}
	var held, open int
	require.NoError(t, f.pool.QueryRow(t.Context(), `SELECT u.sandbox_count + u.vcpu_count + u.memory_mib,
		(SELECT count(*) FROM usage_intervals WHERE ended_at IS NULL) FROM team_use u`).Scan(&held, &open))
	require.Zero(t, held, "it runs no more")
	require.Zero(t, open, "nor is it counted as if it did")

	require.NoError(t, f.Kill(t.Context(), f.team, s.ID))
	require.Equal(t, lifecycle.Killed, f.stored(t, s.ID).State)
	require.Empty(t, f.agent.States())
}

func TestBroken_IsFoundOutByWhoeverResumes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := f.create(t)
	require.NoError(t, f.Pause(t.Context(), f.team, s.ID, service.PauseRequest{}))
	f.agent.Put(s.ID, seenFailed)
	_, _, err := f.Connect(t.Context(), f.team, s.ID, service.ResumeRequest{TimeoutSeconds: 60})
	require.True(t, fault.Is(err, fault.Conflict), "%v", err)
	require.ErrorContains(t, err, hosttest.FailureReason)
	require.Equal(t, lifecycle.Broken, f.stored(t, s.ID).State)
}
