package service_test

import (
	"bytes"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
)

// page is a log that can be read while it is written.
type page struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (p *page) Write(line []byte) (int, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.text.Write(line)
}

func (p *page) String() string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.text.String()
}

func TestHostSync_FollowsAHostAgainThatEndedItsStream(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var warnings page
	f.Log = slog.New(slog.NewTextHandler(io.MultiWriter(&warnings, t.Output()), &slog.HandlerOptions{Level: slog.LevelWarn}))
	s := f.create(t)
	f.follow(t)
	for range 2 {
		require.Eventually(t, func() bool { return f.agent.Watched() == 1 }, patience, 10*time.Millisecond)
		began := time.Now()
		f.agent.EndStreams()
		require.Eventually(t, func() bool { return f.agent.Watched() == 1 }, patience, 10*time.Millisecond)
		require.Less(t, time.Since(began), 5*time.Second)
	}
	f.agent.Put(s.ID, seenPaused)
	require.Eventually(t, func() bool { return f.stored(t, s.ID).State == lifecycle.Paused }, patience, 20*time.Millisecond)
	require.Empty(t, warnings.String(), "a host that is told to end is nothing to warn of")
}
