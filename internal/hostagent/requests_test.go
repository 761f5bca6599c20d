package hostagent

import (
	"sync"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
)

// atOnce sends the same request three times at once. Each must succeed.
func atOnce(t *testing.T, ask func() error) {
	t.Helper()
	const times = 3
	var asking sync.WaitGroup
	failures := make([]error, times)
	for i := range times {
		asking.Go(func() { failures[i] = ask() })
	}
	asking.Wait()
	for _, err := range failures {
		require.NoError(t, err)
	}
}

// testRequests repeats each request of a sandbox's life, while the first is worked on and
// after it, as a client does that has lost the answer.
func testRequests(t *testing.T, a *agentUnderTest, parent string) {
	const id, fork = "irequest000000000001", "irequest000000000002"
	a.killAfter(t, id)
	a.killAfter(t, fork)
	ctx := t.Context()
	atOnce(t, func() error {
		_, err := a.CreateSandbox(ctx, connect.NewRequest(&pb.CreateSandboxRequest{
			SandboxId: id, BuildId: a.build, RequestId: "create", Identity: &pb.Identity{LifecycleId: id},
		}))
		return err
	})
	pause := func(request string) error {
		_, err := a.PauseSandbox(ctx, connect.NewRequest(&pb.PauseSandboxRequest{SandboxId: id, RequestId: request}))
		return err
	}
	resume := func(request string) error {
		_, err := a.ResumeSandbox(ctx, connect.NewRequest(&pb.ResumeSandboxRequest{
			SandboxId: id, RequestId: request, Identity: &pb.Identity{LifecycleId: request},
		}))
		return err
	}
	atOnce(t, func() error { return pause("pause") })
	atOnce(t, func() error { return resume("resume") })
	require.NoError(t, pause("pause"), "a pause that was done before")
	require.Equal(t, pb.SandboxState_SANDBOX_STATE_RUNNING, a.list(t)[id], "is not repeated")

	build := uuid.NewString()
	atOnce(t, func() error {
		_, err := a.SnapshotSandbox(ctx, connect.NewRequest(&pb.SnapshotSandboxRequest{SandboxId: id, BuildId: build, RequestId: "snapshot"}))
		return err
	})
	_, err := a.SnapshotSandbox(ctx, connect.NewRequest(&pb.SnapshotSandboxRequest{SandboxId: id, BuildId: build, RequestId: "another"}))
	require.Equal(t, connect.CodeAlreadyExists, connect.CodeOf(err))
	_, err = a.DeleteSnapshot(ctx, connect.NewRequest(&pb.DeleteSnapshotRequest{BuildId: build}))
	require.NoError(t, err)

	a.run(t, id, "echo forked > /dev/shm/what")
	atOnce(t, func() error {
		made, err := a.ForkSandbox(ctx, connect.NewRequest(&pb.ForkSandboxRequest{
			SandboxId: id, RequestId: "fork", Forks: []*pb.Fork{{SandboxId: fork, Identity: &pb.Identity{LifecycleId: fork}}},
		}))
		if err == nil {
			require.Empty(t, made.Msg.GetResults()[0].GetError())
		}
		return err
	})
	require.Equal(t, "forked", a.run(t, fork, "cat /dev/shm/what"))
	for _, doomed := range []string{id, fork} {
		atOnce(t, func() error {
			_, err := a.KillSandbox(ctx, connect.NewRequest(&pb.KillSandboxRequest{SandboxId: doomed, RequestId: "kill"}))
			return err
		})
	}
	require.Equal(t, map[string]pb.SandboxState{parent: pb.SandboxState_SANDBOX_STATE_RUNNING}, a.list(t))
}
