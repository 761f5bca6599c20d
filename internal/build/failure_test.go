package build

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/build/buildlog"
	"git.omukk.dev/wrenn/sandbox/internal/build/layer"
	"git.omukk.dev/wrenn/sandbox/internal/build/machine"
	"git.omukk.dev/wrenn/sandbox/internal/build/plan"
	"git.omukk.dev/wrenn/sandbox/internal/guestdisk"
	"git.omukk.dev/wrenn/sandbox/internal/image"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/guest"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

func testAttempt() *attempt {
	steps := []plan.Step{{Name: "a", Line: 3, Do: plan.Run{Command: "x"}}, {Name: "b", Do: plan.Run{Command: "y"}}}
	unused := plan.Stage{Base: plan.Base{Scratch: true}, Steps: steps}
	last := plan.Stage{Base: plan.Base{Scratch: true}, Steps: []plan.Step{{Name: "c", Line: 9, Do: plan.Run{Command: "z"}}}}
	return newAttempt(Config{}, guestdisk.Disks{}, plan.Request{BuildID: "build", MemoryMiB: 512, DiskMiB: 1024, Stages: []plan.Stage{unused, last}})
}

func TestExplain_SaysWhatHappenedAndNothingOfTheHost(t *testing.T) {
	t.Parallel()
	const internal = "/var/lib/wrenn/storage/10.213.0.4"
	for name, test := range map[string]struct {
		err     error
		cause   Cause
		message string
	}{
		"unknown":   {errors.New(internal), CauseInternal, "its operator finds the reason"},
		"space":     {&machine.Failure{Code: machine.CodeNoSpace, Message: "x"}, CauseNoSpace, "disk of 1024 MiB is full"},
		"missing":   {&machine.Failure{Code: machine.CodeMissing, Message: `"a" was not found`}, CauseFileMissing, `"a" was not found`},
		"mismatch":  {&machine.Failure{Code: machine.CodeMismatch, Message: "hash"}, CauseHashMismatch, "hash"},
		"guest":     {&machine.Failure{Code: "other", Message: "a\x1b[1mb"}, CauseInvalidStep, "ab"},
		"dead":      {&machine.DeadError{Reason: "QEMU ended: " + internal}, CauseInternal, "VM ended unexpectedly. Build again"},
		"memory":    {&machine.DeadError{Reason: "out of memory (killed)"}, CauseOutOfMemory, "the build has 512 MiB. Build with more"},
		"image":     {explainImage(&image.Error{Cause: image.Unauthorized, Message: "No.", Err: errors.New(internal)}), CauseImageUnauthorized, "No."},
		"known":     {&Failure{Cause: CauseCommandFailed, Message: "failed"}, CauseCommandFailed, "failed"},
		"long text": {&Failure{Cause: CauseCommandFailed, Message: strings.Repeat("x", 2*buildlog.MaxLineBytes)}, CauseCommandFailed, "x"},
	} {
		a := testAttempt()
		failure := a.explain(t.Context(), errors.Join(&stepError{step: "c", line: 9, err: fmt.Errorf("do it: %w", test.err)}))
		require.Equal(t, test.cause, failure.Cause, name)
		require.Contains(t, failure.Message, test.message, name)
		require.NotContains(t, failure.Message, internal, name)
		require.LessOrEqual(t, len(failure.Message), buildlog.MaxLineBytes+len("…"), name)
		require.Equal(t, "c", failure.Step)
		require.Equal(t, 9, failure.Line)
	}
}

func TestExplain_TellsCancelTimeAndAFullHostApart(t *testing.T) {
	t.Parallel()
	a := testAttempt()
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	require.Equal(t, CauseTimedOut, a.explain(late, late.Err()).Cause)
	full, fill := context.WithCancelCause(t.Context())
	fill(errHostFull)
	require.Equal(t, CauseNoSpace, a.explain(full, full.Err()).Cause)
	a.cancelled.Store(true)
	require.Equal(t, CauseCancelled, a.explain(late, late.Err()).Cause)
}

func TestRun_SetsNoResultWhenTheAgentStops(t *testing.T) {
	t.Parallel()
	a := testAttempt()
	layers, err := layer.Open(t.TempDir(), 1<<20, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	a.config = Config{Layers: layers, Log: slog.New(slog.DiscardHandler)}
	a.directory = t.TempDir()
	stopped, stop := context.WithCancelCause(t.Context())
	stop(ErrClosed)
	a.run(stopped)
	_, ended := a.log.Result()
	require.False(t, ended, "the next agent begins the build again")
	a.cancelled.Store(true)
	a.run(stopped)
	result, ended := a.log.Result()
	require.True(t, ended)
	require.Equal(t, CauseCancelled, result.Failure.Cause)
}

func TestPrefix_CountsTheStepsThatAreNeeded(t *testing.T) {
	t.Parallel()
	a := testAttempt()
	require.Equal(t, "builder 1/1", a.prefixOf("c"))
	require.Equal(t, "base", a.prefixOf("base"))
	report := a.stepReport(a.request.Stages[1].Steps[0])
	report.announce("RUN one\ntwo")
	report.cached("RUN \x1b[1mone")
	var lines []string
	a.log.Finish(Result{})
	require.NoError(t, a.log.Watch(t.Context(), 0, Watcher{
		Entry: func(entry buildlog.Entry) error { lines = append(lines, entry.Text); return nil },
		Step:  func(buildlog.StepState) error { return nil }, Result: func(Result) error { return nil },
	}))
	require.Equal(t, []string{"[builder 1/1] RUN one …", "CACHED [builder 1/1] RUN one"}, lines)
}

func TestStreams_KeepTheLastLinesForTheFailure(t *testing.T) {
	t.Parallel()
	report := testAttempt().report("c", "c")
	stdout, stderr := report.streams([][]byte{[]byte("hidden")})
	for i := range 2 * maxLastLines {
		fmt.Fprintln(stdout, i)
	}
	fmt.Fprintln(stderr, "No space left on device: hidden")
	last := report.lastLines()
	require.Len(t, last, maxLastLines)
	require.Equal(t, "No space left on device: ***", last[maxLastLines-1])
	require.True(t, report.saw("No space left on device"))
}

func TestQuote_IsOneShortLine(t *testing.T) {
	t.Parallel()
	require.Equal(t, `"make all"`, quote(" make all\n"))
	require.Equal(t, `"a …"`, quote("a\nb"))
	require.Len(t, []rune(quote(strings.Repeat("é", 2*maxQuoted))), maxQuoted+len([]rune(`"" …`)))
}

func TestImageContext_IsTheImagesOrWhatClientsExpect(t *testing.T) {
	t.Parallel()
	a := testAttempt()
	config := image.Config{Env: []string{"A=1", "B=x=y", "broken", "=no", "C=\x00"}, Cmd: []string{"run"}}
	require.Equal(t, plan.Context{Env: map[string]string{"A": "1", "B": "x=y"}, Command: []string{"run"}}, a.imageContext(config))
	require.Empty(t, userOf(config, false))
	require.Equal(t, "root", userOf(config, true))
	a.request.ImageDefaults = true
	docker := a.imageContext(config)
	require.Equal(t, "/", docker.Workdir)
	require.Equal(t, []string{"/bin/sh", "-c"}, docker.Shell)
	config.WorkingDir, config.User, config.Shell = "srv/../app", "node", []string{"/bin/ash", "-c"}
	docker = a.imageContext(config)
	require.Equal(t, "/app", docker.Workdir)
	require.Equal(t, config.Shell, docker.Shell)
	require.Equal(t, "node", userOf(config, true))
}

func TestExplainBoot_GivesTheGuestsWords(t *testing.T) {
	t.Parallel()
	said := &guest.BootError{Words: "the guest does not boot: no init\x1b[0m.", Cause: vmm.ErrNotRunning}
	var failure *Failure
	require.ErrorAs(t, explainBoot(fmt.Errorf("start: %w", said)), &failure)
	require.Equal(t, CauseBootFailed, failure.Cause)
	require.Contains(t, failure.Message, "The guest said: the guest does not boot: no init. Look for a step")
	other := errors.New("the disk is full")
	require.Equal(t, other, explainBoot(other))
}
