package sandboxes_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
)

// gatekeeper remembers the questions it was asked, and answers all with one error.
type gatekeeper struct {
	answer error
	asked  []any
}

func (g *gatekeeper) ask(wanted any) error {
	g.asked = append(g.asked, wanted)
	return g.answer
}

func (g *gatekeeper) BeforeCreate(_ context.Context, wanted sandboxes.Creation) error {
	return g.ask(wanted)
}

func (g *gatekeeper) BeforeFork(_ context.Context, wanted sandboxes.Forking) error {
	return g.ask(wanted)
}

func (g *gatekeeper) BeforeResume(_ context.Context, wanted sandboxes.Resumption) error {
	return g.ask(wanted)
}

func (g *gatekeeper) BeforePause(_ context.Context, wanted sandboxes.Pausing) error {
	return g.ask(wanted)
}

func (g *gatekeeper) BeforeKill(_ context.Context, wanted sandboxes.Killing) error {
	return g.ask(wanted)
}

func (g *gatekeeper) BeforeSnapshot(_ context.Context, wanted sandboxes.Snapshotting) error {
	return g.ask(wanted)
}

func (g *gatekeeper) BeforeNetworkUpdate(_ context.Context, wanted sandboxes.NetworkUpdate) error {
	return g.ask(wanted)
}

func (g *gatekeeper) BeforeSecretUse(_ context.Context, wanted sandboxes.SecretUse) error {
	return g.ask(wanted)
}

func TestGuard_IsAskedBeforeEachOperationAndCanRefuseIt(t *testing.T) {
	t.Parallel()
	var f fixture
	guard := &gatekeeper{}
	create := func(t *testing.T) sandbox.Sandbox {
		t.Helper()
		made, err := f.Create(t.Context(), f.Team, sandboxes.NewSandbox{Template: "base", TimeoutSeconds: 60, Metadata: map[string]string{"for": "a test"}})
		require.NoError(t, err)
		return made
	}
	resources := func(of sandbox.Sandbox) scheduler.Resources {
		return scheduler.Resources{VCPUs: int64(of.VCPUCount), MemoryMiB: int64(of.MemoryMiB), DiskMiB: int64(of.DiskMiB)}
	}
	for name, test := range map[string]struct {
		prepare func(t *testing.T, of sandbox.Sandbox)
		do      func(ctx context.Context, of sandbox.Sandbox) error
		check   func(t *testing.T, of sandbox.Sandbox, asked []any)
	}{
		"create": {nil, func(ctx context.Context, of sandbox.Sandbox) error {
			_, err := f.Create(ctx, f.Team, sandboxes.NewSandbox{Template: "base", TimeoutSeconds: 60, Metadata: of.Metadata})
			return err
		}, func(t *testing.T, of sandbox.Sandbox, asked []any) {
			t.Helper()
			require.Equal(t, []any{sandboxes.Creation{
				TeamID: f.Team, TemplateID: of.TemplateID, Count: 1, Each: resources(of), Lifetime: time.Minute, Metadata: of.Metadata,
			}}, asked)
		}},
		"fork": {nil, func(ctx context.Context, of sandbox.Sandbox) error {
			_, err := f.Fork(ctx, f.Team, of.ID, 3, 60)
			return err
		}, func(t *testing.T, of sandbox.Sandbox, asked []any) {
			t.Helper()
			forking, is := asked[0].(sandboxes.Forking)
			require.True(t, is)
			require.Equal(t, of.ID, forking.Parent.ID)
			require.Equal(t, 3, forking.Count)
			if len(asked) == 2 { // the first was allowed
				require.Equal(t, of.ID, asked[1].(sandboxes.Creation).ForkedFrom)
			}
		}},
		"pause": {nil, func(ctx context.Context, of sandbox.Sandbox) error {
			return f.Pause(ctx, f.Team, of.ID, sandbox.Pause{WithoutMemory: true})
		}, func(t *testing.T, of sandbox.Sandbox, asked []any) {
			t.Helper()
			pausing, is := asked[0].(sandboxes.Pausing)
			require.True(t, is)
			require.Equal(t, of.ID, pausing.Sandbox.ID)
			require.True(t, pausing.WithoutMemory)
		}},
		"resume": {func(t *testing.T, of sandbox.Sandbox) {
			t.Helper()
			require.NoError(t, f.Pause(t.Context(), f.Team, of.ID, sandbox.Pause{}))
		}, func(ctx context.Context, of sandbox.Sandbox) error {
			_, _, err := f.Connect(ctx, f.Team, of.ID, sandboxes.ResumeRequest{TimeoutSeconds: 60})
			return err
		}, func(t *testing.T, of sandbox.Sandbox, asked []any) {
			t.Helper()
			resumption, is := asked[0].(sandboxes.Resumption)
			require.True(t, is)
			require.Equal(t, of.ID, resumption.Sandbox.ID)
			require.Equal(t, resources(of), resumption.Needs)
			require.Equal(t, time.Minute, resumption.Lifetime)
		}},
		"kill": {nil, func(ctx context.Context, of sandbox.Sandbox) error {
			return f.Kill(ctx, f.Team, of.ID)
		}, func(t *testing.T, of sandbox.Sandbox, asked []any) {
			t.Helper()
			killing, is := asked[0].(sandboxes.Killing)
			require.True(t, is)
			require.Equal(t, of.ID, killing.Sandbox.ID)
		}},
		"snapshot": {nil, func(ctx context.Context, of sandbox.Sandbox) error {
			_, err := f.Snapshot(ctx, f.Team, of.ID, templates.NewSnapshot{Name: "kept"})
			return err
		}, func(t *testing.T, of sandbox.Sandbox, asked []any) {
			t.Helper()
			snapshotting, is := asked[0].(sandboxes.Snapshotting)
			require.True(t, is)
			require.Equal(t, of.ID, snapshotting.Sandbox.ID)
			require.Equal(t, "kept", snapshotting.Name)
		}},
		"network update": {nil, func(ctx context.Context, of sandbox.Sandbox) error {
			return f.UpdateNetwork(ctx, f.Team, of.ID, sandbox.Network{
				DenyOut: []string{"203.0.113.0/24"}, Rules: map[string][]sandbox.NetworkRule{"example.com": {{SetHeaders: map[string]string{"X-Token": "hidden"}}}},
			})
		}, func(t *testing.T, of sandbox.Sandbox, asked []any) {
			t.Helper()
			update, is := asked[0].(sandboxes.NetworkUpdate)
			require.True(t, is)
			require.Equal(t, of.ID, update.Sandbox.ID)
			require.Equal(t, []string{"203.0.113.0/24"}, update.Network.DenyOut)
			require.NotContains(t, fmt.Sprint(update.Network.Rules), "hidden")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f = newFixture(t)
			of := create(t)
			if test.prepare != nil {
				test.prepare(t, of)
			}
			before := f.Agent.States()
			f.SetGuard(guard)
			*guard = gatekeeper{answer: fault.New(fault.PaymentRequired, "the bill")}
			require.Equal(t, fault.PaymentRequired, fault.CodeOf(test.do(t.Context(), of)))
			require.Equal(t, before, f.Agent.States(), "nothing has reached the host")
			test.check(t, of, guard.asked)
			*guard = gatekeeper{}
			require.NoError(t, test.do(t.Context(), of))
			test.check(t, of, guard.asked)
		})
	}
}

func TestGuard_IsNotAskedWhenAdminsKillTheSandboxesOfATeam(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, err := f.Create(t.Context(), f.Team, sandboxes.NewSandbox{Template: "base", TimeoutSeconds: 60})
	require.NoError(t, err)
	f.SetGuard(&gatekeeper{answer: fault.New(fault.Forbidden, "never")})
	killed, failed, err := f.KillTeam(t.Context(), f.Team)
	require.NoError(t, err)
	require.Equal(t, []int{1, 0}, []int{killed, failed})
}
