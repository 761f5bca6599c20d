package service_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
	"git.omukk.dev/wrenn/sandbox/pkg/service"
)

// gatekeeper remembers what it was asked and answers as it is told.
type gatekeeper struct {
	answer  error
	created []service.Creation
	resumed []service.Resumption
}

func (g *gatekeeper) BeforeCreate(_ context.Context, wanted service.Creation) error {
	g.created = append(g.created, wanted)
	return g.answer
}

func (g *gatekeeper) BeforeResume(_ context.Context, wanted service.Resumption) error {
	g.resumed = append(g.resumed, wanted)
	return g.answer
}

func (g *gatekeeper) BeforeBuild(context.Context, service.Building) error { return g.answer }

func TestGuard_MayRefuseWhateverBeginsToRun(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	guard := &gatekeeper{}
	f.Guard = guard
	wanted := service.NewSandbox{Template: "base", TimeoutSeconds: 60, Metadata: map[string]string{"for": "a test"}}
	sandbox, err := f.Create(t.Context(), f.team, wanted)
	require.NoError(t, err)
	require.Equal(t, []service.Creation{{
		TeamID: f.team, TemplateID: sandbox.TemplateID, Count: 1, Lifetime: time.Minute, Metadata: wanted.Metadata,
		Each: scheduler.Resources{VCPUs: int64(sandbox.VCPUCount), MemoryMiB: int64(sandbox.MemoryMiB), DiskMiB: int64(sandbox.DiskMiB)},
	}}, guard.created)

	guard.answer = fault.New(fault.PaymentRequired, "the bill")
	_, err = f.Create(t.Context(), f.team, wanted)
	require.Equal(t, fault.PaymentRequired, fault.CodeOf(err))
	_, err = f.Fork(t.Context(), f.team, sandbox.ID, 3, 60)
	require.Equal(t, fault.PaymentRequired, fault.CodeOf(err))
	require.Equal(t, sandbox.ID, guard.created[2].ForkedFrom)
	require.Equal(t, 3, guard.created[2].Count)
	require.NoError(t, f.Pause(t.Context(), f.team, sandbox.ID, service.PauseRequest{}))
	_, err = f.Resume(t.Context(), f.team, sandbox.ID, service.ResumeRequest{TimeoutSeconds: 60})
	require.Equal(t, fault.PaymentRequired, fault.CodeOf(err))
	require.Len(t, f.agent.States(), 1, "nothing has reached the host")

	guard.answer = nil
	_, _, err = f.Connect(t.Context(), f.team, sandbox.ID, service.ResumeRequest{TimeoutSeconds: 60})
	require.NoError(t, err)
	require.Len(t, guard.resumed, 2)
	require.Equal(t, sandbox.ID, guard.resumed[1].SandboxID)
}
