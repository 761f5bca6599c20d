package usage_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/service/servicetest"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
)

func number(value int64) *int64 { return &value }

func (f fixture) setLimits(t *testing.T, limits usage.Limits) {
	t.Helper()
	require.NoError(t, usage.New(f.Pool).SetLimits(t.Context(), f.Team, limits))
}

func TestLimits_NameWhatIsReachedAndWhatTheTeamHas(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		limits usage.Limits
		want   string
	}{
		"sandboxes": {usage.Limits{MaxSandboxes: number(1)}, "the team may have 1 sandboxes at once, and has 1 of them; this would take 1 more"},
		"vCPUs":     {usage.Limits{MaxVCPUs: number(1)}, "the team may have 1 vCPUs, and has 1 of them; this would take 1 more"},
		"memory":    {usage.Limits{MaxMemoryMiB: number(1000)}, "the team may have 1000 MiB of memory, and has 512 of them; this would take 512 more"},
		"disk":      {usage.Limits{MaxDiskMiB: number(5000)}, "the team may have 5000 MiB of disk, and has 4096 of them; this would take 4096 more"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.setLimits(t, test.limits)
			f.Start(t)
			_, err := f.Create(t.Context(), f.Team, sandboxes.NewSandbox{Template: "base", TimeoutSeconds: 60})
			require.Equal(t, fault.RateLimited, fault.CodeOf(err))
			require.EqualError(t, err, test.want)
		})
	}
}

func TestLimits_AreKeptByManyCreatesAtOnceAndByResumes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.setLimits(t, usage.Limits{MaxSandboxes: number(3)})
	codes := servicetest.Together(func() error {
		_, err := f.Create(t.Context(), f.Team, sandboxes.NewSandbox{Template: "base", TimeoutSeconds: 60})
		return err
	})
	require.Equal(t, map[fault.Code]int{"": 3, fault.RateLimited: 5}, codes)
	running, err := f.List(t.Context(), f.Team, sandboxes.Filter{PageSize: 10})
	require.NoError(t, err)
	paused := running.Sandboxes[0].ID
	require.NoError(t, f.Pause(t.Context(), f.Team, paused, sandbox.Pause{}))
	f.Start(t)
	_, err = f.Resume(t.Context(), f.Team, paused, sandboxes.ResumeRequest{TimeoutSeconds: 60})
	require.Equal(t, fault.RateLimited, fault.CodeOf(err))
}

func TestLimits_OfCreatesAMinuteSayHowLongToWait(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.setLimits(t, usage.Limits{MaxCreatesPerMinute: number(2)})
	require.NoError(t, f.Kill(t.Context(), f.Team, f.Start(t).ID))
	f.Start(t)
	_, err := f.Create(t.Context(), f.Team, sandboxes.NewSandbox{Template: "base", TimeoutSeconds: 60})
	var refused *fault.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "the team may create 2 sandboxes a minute", refused.Message)
	require.InDelta(t, 30*time.Second, refused.RetryAfter, float64(10*time.Second))
	_, err = f.Pool.Exec(t.Context(), "UPDATE team_use SET create_refilled_at = create_refilled_at - interval '30 seconds'")
	require.NoError(t, err)
	f.Start(t)
}

func TestUsage_CountsExactlyTheTimeThatSandboxesRan(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx := t.Context()
	var running errgroup.Group
	for range 3 {
		s := f.Start(t)
		running.Go(func() error {
			err := f.Pause(ctx, f.Team, s.ID, sandbox.Pause{})
			_, resumed := f.Resume(ctx, f.Team, s.ID, sandboxes.ResumeRequest{TimeoutSeconds: 60})
			return errors.Join(err, resumed, f.Kill(ctx, f.Team, s.ID))
		})
	}
	require.NoError(t, running.Wait())
	f.RequireExactCounts(t)
	// Six intervals, as the clock has them, are put where the sums are known.
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	tag, err := f.Pool.Exec(ctx, "UPDATE usage_intervals SET started_at = $1, ended_at = $1::timestamptz + interval '90 seconds', vcpu_count = 2, memory_mib = 512", noon)
	require.NoError(t, err)
	require.EqualValues(t, 6, tag.RowsAffected())
	usage := usage.New(f.Pool)
	for name, test := range map[string]struct {
		since, until time.Time
		vcpu, gib    float64
		sandboxes    int64
	}{
		"all of it":    {noon.Add(-time.Hour), noon.Add(time.Hour), 6 * 2 * 90, 6 * 45, 3},
		"its first 30": {noon.Add(-time.Hour), noon.Add(30 * time.Second), 6 * 2 * 30, 6 * 15, 3},
		"its last 10":  {noon.Add(80 * time.Second), noon.Add(time.Hour), 6 * 2 * 10, 6 * 5, 3},
		"after it":     {noon.Add(2 * time.Minute), noon.Add(time.Hour), 0, 0, 0},
		"before it":    {noon.Add(-2 * time.Hour), noon, 0, 0, 0},
	} {
		used, err := usage.Between(ctx, f.Team, test.since, test.until)
		require.NoError(t, err, name)
		require.InDelta(t, test.vcpu, used.VCPUSeconds, 1e-6, name)
		require.InDelta(t, test.gib, used.GiBSeconds, 1e-6, name)
		require.Equal(t, test.sandboxes, used.Sandboxes, name)
	}
	other, err := usage.Between(ctx, uuid.New(), noon.Add(-time.Hour), noon.Add(time.Hour))
	require.NoError(t, err)
	require.Zero(t, other.VCPUSeconds)
	for _, until := range []time.Time{noon, noon.AddDate(2, 0, 0)} {
		_, err = usage.Between(ctx, f.Team, noon, until)
		require.Equal(t, fault.Invalid, fault.CodeOf(err))
	}
}

func TestUsage_OfWhatRunsGrowsUntilNow(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Start(t)
	usage := usage.New(f.Pool)
	soFar := func() float64 {
		used, err := usage.Between(t.Context(), f.Team, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
		require.NoError(t, err)
		return used.VCPUSeconds
	}
	first := soFar()
	require.Less(t, first, 60.0)
	require.Eventually(t, func() bool { return soFar() > first }, servicetest.Patience, time.Millisecond)
}
