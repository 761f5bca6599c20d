package sandbox

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOnce_DoesTheSameRequestOnceHoweverOftenItComes(t *testing.T) {
	t.Parallel()
	var all requests
	var done atomic.Int32
	release := make(chan struct{})
	work := func() (int32, error) { //nolint:unparam // what is done once can fail
		<-release
		return done.Add(1), nil
	}
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			got, err := once(t.Context(), &all, request{"pause", "i1", "a"}, work)
			if err != nil || got != 1 {
				t.Errorf("got %d, %v", got, err)
			}
		})
	}
	close(release)
	asking.Wait()
	got, err := once(t.Context(), &all, request{"pause", "i1", "a"}, work)
	require.NoError(t, err)
	require.Equal(t, int32(1), got, "it is remembered")
	for i, other := range []request{{"resume", "i1", "a"}, {"pause", "i2", "a"}, {"pause", "i1", "b"}, {"pause", "i1", ""}, {"pause", "i1", ""}} {
		got, err = once(t.Context(), &all, other, work)
		require.NoError(t, err)
		require.Equal(t, int32(i+2), got, "%v is another request", other)
	}
}

func TestOnce_TriesAnewWhatFailed(t *testing.T) {
	t.Parallel()
	var all requests
	failure := errors.New("no room")
	_, err := once(t.Context(), &all, request{"pause", "i1", "a"}, func() (int, error) { return 0, failure })
	require.ErrorIs(t, err, failure)
	got, err := once(t.Context(), &all, request{"pause", "i1", "a"}, func() (int, error) { return 7, nil })
	require.NoError(t, err)
	require.Equal(t, 7, got)
}

func TestOnce_GoesOnForWhoIsStillThere(t *testing.T) {
	t.Parallel()
	var all requests
	begun := make(chan struct{})
	impatient, leave := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	asking.Go(func() {
		_, err := once(impatient, &all, request{"create", "i1", "a"}, func() (int, error) {
			close(begun)
			<-impatient.Done()
			return 0, impatient.Err()
		})
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	<-begun
	asking.Go(func() {
		got, err := once(t.Context(), &all, request{"create", "i1", "a"}, func() (int, error) { return 7, nil })
		if err != nil || got != 7 {
			t.Errorf("got %d, %v", got, err)
		}
	})
	leave()
	asking.Wait()

	hurried, cancel := context.WithCancel(t.Context())
	cancel()
	forever := make(chan struct{})
	entered := make(chan struct{})
	asking.Go(func() {
		_, _ = once(t.Context(), &all, request{"pause", "i1", "a"}, func() (int, error) {
			close(entered)
			<-forever
			return 0, nil
		})
	})
	<-entered
	_, err := once(hurried, &all, request{"pause", "i1", "a"}, func() (int, error) { return 0, nil })
	require.ErrorIs(t, err, context.Canceled)
	close(forever)
	asking.Wait()
}

func TestJoined_RemembersNothing(t *testing.T) {
	t.Parallel()
	var all requests
	for want := range 3 {
		got, err := joined(t.Context(), &all, request{"create", "i1", "a"}, func() (int, error) { return want, nil })
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	require.Empty(t, all.calls)
}

func TestRequests_ForgetWhatWasDoneLongAgo(t *testing.T) {
	t.Parallel()
	var all requests
	_, err := once(t.Context(), &all, request{"pause", "i1", "a"}, func() (int, error) { return 1, nil })
	require.NoError(t, err)
	under, first := all.enter(request{"pause", "i2", "b"})
	require.True(t, first)
	later := time.Now().Add(2 * requestMemory)
	all.mutex.Lock()
	all.sweep(later)
	require.Len(t, all.calls, 1, "what is under way stays")
	require.Same(t, under, all.calls[request{"pause", "i2", "b"}])
	all.mutex.Unlock()
}
