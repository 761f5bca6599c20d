package supervisor

import (
	"context"
	"errors"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// recorder remembers what a service reported and which processes it had.
type recorder struct {
	mu        sync.Mutex
	lines     []string
	processes []*Process
	failures  int // how many starts are still to fail
}

func (r *recorder) service() Service {
	return Service{Name: "sleeper", Start: r.start, Report: r.report}
}

func (r *recorder) start(context.Context) (Running, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.processes) > 0 && r.failures > 0 {
		r.failures--
		return nil, errors.New("sleeper cannot start")
	}
	process, err := Start("sleeper", exec.Command("sleep", "300"), Signals{Stop: syscall.SIGTERM, Orphan: syscall.SIGKILL})
	if err != nil {
		return nil, err
	}
	r.processes = append(r.processes, process)
	return process, nil
}

func (r *recorder) report(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
}

func (r *recorder) started() []*Process {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*Process(nil), r.processes...)
}

func (r *recorder) reported() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.lines...)
}

func TestKeep_StartsAgainWhatDies(t *testing.T) {
	t.Parallel()
	r := &recorder{failures: 1}
	kept, err := Keep(t.Context(), r.service())
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(r.started()[0].PID(), syscall.SIGKILL))
	require.Eventually(t, func() bool { return len(r.reported()) == 5 }, patience, 10*time.Millisecond)
	require.Equal(t, []string{
		"sleeper stopped (signal: killed)",
		"sleeper: starting it again in 500ms",
		"sleeper cannot start",
		"sleeper: starting it again in 1s",
		"sleeper runs again",
	}, r.reported())

	require.NoError(t, kept.Stop(t.Context()))
	require.Len(t, r.started(), 2)
	require.False(t, runs(r.started()[1].PID()))
}

func TestKeep_DoesNotOutliveStopWhileItWaits(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	kept, err := Keep(t.Context(), r.service())
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(r.started()[0].PID(), syscall.SIGKILL))
	require.Eventually(t, func() bool { return len(r.reported()) == 2 }, patience, time.Millisecond)
	require.NoError(t, kept.Stop(t.Context()))
	require.Len(t, r.started(), 1)
}

func TestKeep_FailsWhenTheFirstStartDoes(t *testing.T) {
	t.Parallel()
	refusal := errors.New("refused")
	_, err := Keep(t.Context(), Service{Start: func(context.Context) (Running, error) { return nil, refusal }})
	require.ErrorIs(t, err, refusal)
}
