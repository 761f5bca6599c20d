package sandboxes_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
)

// gatekeeper records what it is called with and returns answer.
type gatekeeper struct {
	answer  error
	created []sandboxes.Creation
	resumed []sandboxes.Resumption
}

func (g *gatekeeper) BeforeCreate(_ context.Context, wanted sandboxes.Creation) error {
	g.created = append(g.created, wanted)
	return g.answer
}

func (g *gatekeeper) BeforeResume(_ context.Context, wanted sandboxes.Resumption) error {
	g.resumed = append(g.resumed, wanted)
	return g.answer
}

func TestGuard_MayRefuseWhateverBeginsToRun(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	guard := &gatekeeper{}
	f.Guard = guard
	wanted := sandboxes.NewSandbox{Template: "base", TimeoutSeconds: 60, Metadata: map[string]string{"for": "a test"}}
	made, err := f.Create(t.Context(), f.Team, wanted)
	require.NoError(t, err)
	require.Equal(t, []sandboxes.Creation{{
		TeamID: f.Team, TemplateID: made.TemplateID, Count: 1, Lifetime: time.Minute, Metadata: wanted.Metadata,
		Each: scheduler.Resources{VCPUs: int64(made.VCPUCount), MemoryMiB: int64(made.MemoryMiB), DiskMiB: int64(made.DiskMiB)},
	}}, guard.created)

	guard.answer = fault.New(fault.PaymentRequired, "the bill")
	_, err = f.Create(t.Context(), f.Team, wanted)
	require.Equal(t, fault.PaymentRequired, fault.CodeOf(err))
	_, err = f.Fork(t.Context(), f.Team, made.ID, 3, 60)
	require.Equal(t, fault.PaymentRequired, fault.CodeOf(err))
	require.Equal(t, made.ID, guard.created[2].ForkedFrom)
	require.Equal(t, 3, guard.created[2].Count)
	require.NoError(t, f.Pause(t.Context(), f.Team, made.ID, sandbox.Pause{}))
	_, err = f.Resume(t.Context(), f.Team, made.ID, sandboxes.ResumeRequest{TimeoutSeconds: 60})
	require.Equal(t, fault.PaymentRequired, fault.CodeOf(err))
	require.Len(t, f.Agent.States(), 1, "nothing has reached the host")

	guard.answer = nil
	_, _, err = f.Connect(t.Context(), f.Team, made.ID, sandboxes.ResumeRequest{TimeoutSeconds: 60})
	require.NoError(t, err)
	require.Len(t, guard.resumed, 2)
	require.Equal(t, made.ID, guard.resumed[1].SandboxID)
}
