package sandboxes_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/service/servicetest"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
)

// operations are all operations on a sandbox, by name.
func (f fixture) operations(ctx context.Context, id string) map[string]func() error {
	again := sandboxes.ResumeRequest{TimeoutSeconds: 60}
	return map[string]func() error{
		"pause":    func() error { return f.Pause(ctx, f.Team, id, sandbox.Pause{}) },
		"resume":   func() error { _, err := f.Resume(ctx, f.Team, id, again); return err },
		"connect":  func() error { _, _, err := f.Connect(ctx, f.Team, id, again); return err },
		"traffic":  func() error { _, err := f.ResumeForTraffic(ctx, id); return err },
		"snapshot": func() error { _, err := f.Snapshot(ctx, f.Team, id, templates.NewSnapshot{}); return err },
		"fork":     func() error { _, err := f.Fork(ctx, f.Team, id, 1, 60); return err },
		"network":  func() error { return f.UpdateNetwork(ctx, f.Team, id, sandbox.Network{}) },
		"timeout":  func() error { return f.SetTimeout(ctx, f.Team, id, 60) },
		"refresh":  func() error { return f.Refresh(ctx, f.Team, id, 60) },
		"kill":     func() error { return f.Kill(ctx, f.Team, id) },
	}
}

func (f fixture) createResumable(t *testing.T) string {
	t.Helper()
	made, err := f.Create(t.Context(), f.Team, sandboxes.NewSandbox{
		Template: "base", TimeoutSeconds: 600, Lifecycle: sandbox.Lifecycle{AutoPause: true, AutoResume: true},
	})
	require.NoError(t, err)
	return made.ID
}

// Each operation is begun while another one is under way. "" is a success, if need be
// after the other one.
func TestOperations_BesideAnotherWaitForItsEnd(t *testing.T) {
	t.Parallel()
	const ok, conflict, missing = fault.Code(""), fault.Conflict, fault.NotFound
	for underWay, wanted := range map[string]map[string]fault.Code{
		"pause": {
			"pause": ok, "resume": ok, "connect": ok, "traffic": ok, "snapshot": conflict, "fork": conflict,
			"network": conflict, "timeout": missing, "refresh": missing,
		},
		"resume": {
			"pause": ok, "resume": ok, "connect": ok, "traffic": ok, "snapshot": ok, "fork": ok,
			"network": ok, "timeout": ok, "refresh": ok,
		},
		"kill": {"kill": ok},
	} {
		t.Run(underWay, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			for second, want := range wanted {
				id := f.createResumable(t)
				operations := f.operations(t.Context(), id)
				if underWay == "resume" {
					require.NoError(t, operations["pause"]())
				}
				entered, release := f.Hold(underWay)
				first, then := make(chan error, 1), make(chan error, 1)
				go func() { first <- operations[underWay]() }()
				<-entered
				go func() { then <- operations[second]() }()
				require.Eventually(t, func() bool { return f.Waiting() == 1 }, servicetest.Patience, time.Millisecond, "%s waits for %s", second, underWay)
				require.Empty(t, then, "%s does not end before %s", second, underWay)
				release()
				require.NoError(t, <-first, underWay)
				err := <-then
				require.Equal(t, want, fault.CodeOf(err), "%s beside %s: %v", second, underWay, err)
				if underWay != "kill" {
					require.NoError(t, operations["kill"]())
				}
			}
		})
	}
}

func TestOperations_DoNotFindWhatIsBeingKilled(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.Start(t).ID
	operations := f.operations(t.Context(), id)
	entered, release := f.Hold("kill")
	killed := make(chan error, 1)
	go func() { killed <- operations["kill"]() }()
	<-entered
	for name, operation := range operations {
		if name != "kill" {
			require.Equal(t, fault.NotFound, fault.CodeOf(operation()), name)
		}
	}
	release()
	require.NoError(t, <-killed)
	require.Equal(t, fault.NotFound, fault.CodeOf(operations["kill"]()), "one that is gone is not there")
}

func TestOperations_ManyAtOnceAreDoneOnce(t *testing.T) {
	t.Parallel()
	const many = 8
	f := newFixture(t)
	id := f.Start(t).ID
	operations := f.operations(t.Context(), id)
	for _, name := range []string{"pause", "resume", "pause", "connect", "kill"} {
		hostOperation := name
		if name == "connect" {
			hostOperation = "resume"
		}
		entered, release := f.Hold(hostOperation)
		answers := make(chan error, many)
		for range many {
			go func() { answers <- operations[name]() }()
		}
		<-entered
		require.Eventually(t, func() bool { return f.Waiting() == many-1 }, servicetest.Patience, time.Millisecond, "all but one wait: %s", name)
		release()
		for range many {
			require.NoError(t, <-answers, name)
		}
	}
	require.Empty(t, f.Agent.States())
}

func TestOperations_DoNotWaitForEver(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.SetPatience(50 * time.Millisecond)
	id := f.Start(t).ID
	operations := f.operations(t.Context(), id)
	entered, release := f.Hold("pause")
	paused := make(chan error, 1)
	go func() { paused <- operations["pause"]() }()
	<-entered
	for _, name := range []string{"pause", "resume", "connect", "snapshot", "fork", "network", "timeout", "refresh"} {
		err := operations[name]()
		require.Equal(t, fault.Conflict, fault.CodeOf(err), name)
		require.Equal(t, fault.Busy, fault.ReasonOf(err), name)
	}
	ctx, leave := context.WithCancel(t.Context())
	leave()
	require.ErrorIs(t, f.Pause(ctx, f.Team, id, sandbox.Pause{}), context.Canceled, "a client that leaves is not waited for")
	release()
	require.NoError(t, <-paused)
}

func TestPause_BesideOneOfAnotherKindIsRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.Start(t).ID
	entered, release := f.Hold("pause")
	answers := make(chan error, 1)
	go func() { answers <- f.Pause(t.Context(), f.Team, id, sandbox.Pause{}) }()
	<-entered
	other := make(chan error, 1)
	go func() { other <- f.Pause(t.Context(), f.Team, id, sandbox.Pause{WithoutMemory: true}) }()
	require.Eventually(t, func() bool { return f.Waiting() == 1 }, servicetest.Patience, time.Millisecond)
	release()
	require.NoError(t, <-answers)
	require.Equal(t, fault.WrongState, fault.ReasonOf(<-other), "the memory is kept, which was not asked for")
}

// A connect once repeated a resume hundreds of times that the host always refused.
func TestResume_AsksAHostThatRefusesOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.createResumable(t)
	operations := f.operations(t.Context(), id)
	require.NoError(t, operations["pause"]())
	for reason, want := range map[pb.Reason]fault.Reason{
		pb.Reason_REASON_INCOMPATIBLE_SNAPSHOT:       fault.NoCompatibleHost,
		pb.Reason_REASON_BROKEN_SNAPSHOT:             fault.Broken,
		pb.Reason_REASON_SANDBOX_FAILED:              fault.Broken,
		pb.Reason_REASON_WRONG_STATE:                 fault.WrongState,
		pb.Reason_REASON_BUSY:                        fault.Busy,
		pb.Reason_REASON_NO_ROOM:                     fault.NoCapacity,
		pb.Reason_REASON_GUEST_UNRESPONSIVE:          fault.GuestUnresponsive,
		pb.Reason_REASON_GUEST_UNRESPONSIVE_AT_PAUSE: fault.GuestUnresponsiveAtPause,
		pb.Reason_REASON_VM_ENDED:                    fault.MachineEnded,
		pb.Reason_REASON_UNSPECIFIED:                 "",
	} {
		for _, name := range []string{"connect", "resume", "traffic"} {
			var asked int
			f.Agent.Before(func(_ context.Context, operation, _ string) error {
				if operation == "resume" {
					asked++
					return host.Refuse(reason, "it was made elsewhere", errors.New("no"))
				}
				return nil
			})
			err := operations[name]()
			require.Error(t, err, "%s: %s", name, reason)
			require.Equal(t, 1, asked, "%s: %s", name, reason)
			require.Equal(t, want, fault.ReasonOf(err), "%s: %s", name, reason)
			if want != "" {
				var shown *fault.Error
				require.ErrorAs(t, err, &shown)
				require.Equal(t, "it was made elsewhere", shown.Message)
			}
			require.Equal(t, sandbox.Paused, f.Stored(t, id).State)
		}
	}
}
