package fleet_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/servicetest"
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
	s := f.Start(t)
	f.follow(t)
	for range 2 {
		require.Eventually(t, func() bool { return f.Agent.Watched() == 1 }, servicetest.Patience, 10*time.Millisecond)
		began := time.Now()
		f.Agent.EndStreams()
		require.Eventually(t, func() bool { return f.Agent.Watched() == 1 }, servicetest.Patience, 10*time.Millisecond)
		require.Less(t, time.Since(began), 5*time.Second)
	}
	f.Agent.Put(s.ID, servicetest.SeenPaused)
	require.Eventually(t, func() bool { return f.Stored(t, s.ID).State == sandbox.Paused }, servicetest.Patience, 20*time.Millisecond)
	require.Empty(t, warnings.String(), "a host that is told to end is nothing to warn of")
}

func TestHostSync_NoticesAChangeAtOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.Sync.Run(ctx)
	}()
	defer func() {
		cancel()
		<-ended
	}()
	s := f.Start(t)
	f.Agent.Put(s.ID, servicetest.SeenPaused)
	require.Eventually(t, func() bool { return f.Stored(t, s.ID).State == sandbox.Paused }, servicetest.Patience, 20*time.Millisecond)
}
