package placement_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host/hosttest"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
	"git.omukk.dev/wrenn/sandbox/pkg/service/placement"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
)

// malicious is a scheduler that keeps no contract.
type malicious func(ctx context.Context, reserve scheduler.Reserve) (uuid.UUID, error)

func (malicious) Observe([]scheduler.Host) {}

func (m malicious) Place(ctx context.Context, request scheduler.Request, reserve scheduler.Reserve) (uuid.UUID, error) {
	clear(request.Tags) // and it changes what it was given
	clear(request.Avoid)
	return m(ctx, reserve)
}

// proposing reserves one host, whatever is asked for.
func proposing(hostID uuid.UUID) malicious {
	return func(ctx context.Context, reserve scheduler.Reserve) (uuid.UUID, error) {
		return hostID, reserve(ctx, hostID)
	}
}

// place asks a malicious scheduler for a host, and counts what is stored.
func (f fixture) place(t *testing.T, m malicious, request scheduler.Request) (stored int, err error) {
	t.Helper()
	_, err = placement.New(f.Pool, m, f.Log).Place(t.Context(), f.Team, request, f.insert)
	require.NoError(t, f.Pool.QueryRow(t.Context(), "SELECT count(*) FROM sandboxes").Scan(&stored))
	return stored, err
}

func TestPlacement_ChecksEachConstraintWhateverTheSchedulerProposes(t *testing.T) {
	t.Parallel()
	one := scheduler.Resources{VCPUs: 1, MemoryMiB: 512, DiskMiB: 4096}
	for name, test := range map[string]struct {
		request func(f fixture) scheduler.Request
		prepare string // a statement about the host, $1
		want    bool
	}{
		"a host that suits": {
			request: func(fixture) scheduler.Request {
				return scheduler.Request{Needs: one, Tags: []string{"gpu"}, Build: uuid.MustParse(hosttest.BuildID)}
			},
			prepare: "UPDATE hosts SET tags = '{gpu,fast}' WHERE id = $1", want: true,
		},
		"a host without a tag": {
			request: func(fixture) scheduler.Request { return scheduler.Request{Tags: []string{"gpu", "fast"}} },
			prepare: "UPDATE hosts SET tags = '{gpu}' WHERE id = $1",
		},
		"a host without the build": {request: func(fixture) scheduler.Request { return scheduler.Request{Build: uuid.New()} }},
		"a host to be avoided":     {request: func(f fixture) scheduler.Request { return scheduler.Request{Avoid: []uuid.UUID{f.Host}} }},
		"another host":             {request: func(fixture) scheduler.Request { return scheduler.Request{Host: uuid.New()} }},
		"a host with the isolation": {
			request: func(fixture) scheduler.Request { return scheduler.Request{Isolation: sandbox.VM} }, want: true,
		},
		"a host with another isolation": {
			request: func(fixture) scheduler.Request { return scheduler.Request{Isolation: sandbox.VM} },
			prepare: "UPDATE hosts SET driver = 'gvisor' WHERE id = $1",
		},
		"a host of an unknown isolation": {
			request: func(fixture) scheduler.Request { return scheduler.Request{Isolation: sandbox.VM} },
			prepare: "UPDATE hosts SET driver = 'another' WHERE id = $1",
		},
		"a host that cannot start its build": {
			request: func(fixture) scheduler.Request {
				return scheduler.Request{Build: uuid.MustParse(hosttest.BuildID)}
			},
			prepare: "UPDATE hosts SET accelerator = 'kvm' WHERE id = $1",
		},
		"a host that is draining": {
			request: func(fixture) scheduler.Request { return scheduler.Request{} },
			prepare: "UPDATE hosts SET state = 'draining' WHERE id = $1",
		},
		"a host that is full": {
			request: func(fixture) scheduler.Request { return scheduler.Request{Needs: one} },
			prepare: "UPDATE host_loads SET memory_mib_capacity = 511 WHERE host_id = $1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			if test.prepare != "" {
				_, err := f.Pool.Exec(t.Context(), test.prepare, f.Host)
				require.NoError(t, err)
			}
			stored, err := f.place(t, proposing(f.Host), test.request(f))
			if test.want {
				require.NoError(t, err)
				require.Equal(t, 1, stored)
				return
			}
			require.ErrorIs(t, err, scheduler.ErrTaken)
			require.Zero(t, stored)
		})
	}
}

func TestPlacement_KeepsAGroupApartWhateverTheSchedulerProposes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	apart := scheduler.Request{Group: "db", Rule: scheduler.Apart}
	stored, err := f.place(t, proposing(f.Host), apart)
	require.NoError(t, err)
	require.Equal(t, 1, stored)
	stored, err = f.place(t, proposing(f.Host), apart)
	require.ErrorIs(t, err, scheduler.ErrTaken)
	require.Equal(t, 1, stored)
}

func TestPlacement_PlacesOnceWhateverTheSchedulerSays(t *testing.T) {
	t.Parallel()
	t.Run("it reserves again and again", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t)
		stored, err := f.place(t, func(ctx context.Context, reserve scheduler.Reserve) (uuid.UUID, error) {
			for range 3 {
				_ = reserve(ctx, f.Host)
			}
			return uuid.New(), nil
		}, scheduler.Request{})
		require.NoError(t, err)
		require.Equal(t, 1, stored)
	})
	t.Run("it fails after a reservation", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t)
		stored, err := f.place(t, func(ctx context.Context, reserve scheduler.Reserve) (uuid.UUID, error) {
			return uuid.Nil, errors.Join(reserve(ctx, f.Host), errors.New("no"))
		}, scheduler.Request{})
		require.NoError(t, err, "the sandbox has its host")
		require.Equal(t, 1, stored)
	})
	t.Run("it succeeds without a reservation", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t)
		stored, err := f.place(t, func(context.Context, scheduler.Reserve) (uuid.UUID, error) { return f.Host, nil }, scheduler.Request{})
		require.Equal(t, fault.Internal, fault.CodeOf(err))
		require.Zero(t, stored)
	})
	t.Run("it goes on after a refusal", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t)
		none := int64(0)
		require.NoError(t, usage.New(f.Pool).SetLimits(t.Context(), f.Team, usage.Limits{MaxSandboxes: &none}))
		stored, err := f.place(t, func(ctx context.Context, reserve scheduler.Reserve) (uuid.UUID, error) {
			require.Error(t, reserve(ctx, f.Host))
			require.NoError(t, usage.New(f.Pool).SetLimits(ctx, f.Team, usage.Limits{}))
			return f.Host, reserve(ctx, f.Host)
		}, scheduler.Request{})
		require.Equal(t, fault.RateLimited, fault.CodeOf(err))
		require.Zero(t, stored)
	})
	t.Run("it never ends", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t)
		stored, err := f.place(t, func(ctx context.Context, reserve scheduler.Reserve) (uuid.UUID, error) {
			for {
				if err := reserve(ctx, uuid.New()); !errors.Is(err, scheduler.ErrTaken) {
					return uuid.Nil, err
				}
			}
		}, scheduler.Request{})
		require.Error(t, err)
		require.Zero(t, stored)
	})
	t.Run("it reserves when the placement is over", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t)
		var kept scheduler.Reserve
		_, err := f.place(t, func(_ context.Context, reserve scheduler.Reserve) (uuid.UUID, error) {
			kept = reserve
			return uuid.Nil, errors.New("no")
		}, scheduler.Request{})
		require.Error(t, err)
		require.Error(t, kept(t.Context(), f.Host))
		var stored int
		require.NoError(t, f.Pool.QueryRow(t.Context(), "SELECT count(*) FROM sandboxes").Scan(&stored))
		require.Zero(t, stored)
	})
}
