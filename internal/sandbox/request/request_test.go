package request

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOnce_RunsTheWorkOfARequestOnce(t *testing.T) {
	t.Parallel()
	var all Set
	var done atomic.Int32
	release := make(chan struct{})
	work := func() (int32, error) { //nolint:unparam // its type is that of work
		<-release
		return done.Add(1), nil
	}
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			got, err := Once(t.Context(), &all, Key{"pause", "i1", "a"}, work)
			if err != nil || got != 1 {
				t.Errorf("got %d, %v", got, err)
			}
		})
	}
	close(release)
	asking.Wait()
	got, err := Once(t.Context(), &all, Key{"pause", "i1", "a"}, work)
	require.NoError(t, err)
	require.Equal(t, int32(1), got, "the result is kept")
	for i, other := range []Key{{"resume", "i1", "a"}, {"pause", "i2", "a"}, {"pause", "i1", "b"}, {"pause", "i1", ""}, {"pause", "i1", ""}} {
		got, err = Once(t.Context(), &all, other, work)
		require.NoError(t, err)
		require.Equal(t, int32(i+2), got, "%v is another request", other)
	}
}

func TestOnce_RunsAgainWhatFailed(t *testing.T) {
	t.Parallel()
	var all Set
	failure := errors.New("no room")
	_, err := Once(t.Context(), &all, Key{"pause", "i1", "a"}, func() (int, error) { return 0, failure })
	require.ErrorIs(t, err, failure)
	got, err := Once(t.Context(), &all, Key{"pause", "i1", "a"}, func() (int, error) { return 7, nil })
	require.NoError(t, err)
	require.Equal(t, 7, got)
}

func TestOnce_RunsAgainForAWaitingCallerWhenTheFirstHasLeft(t *testing.T) {
	t.Parallel()
	var all Set
	begun := make(chan struct{})
	impatient, leave := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	asking.Go(func() {
		_, err := Once(impatient, &all, Key{"create", "i1", "a"}, func() (int, error) {
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
		got, err := Once(t.Context(), &all, Key{"create", "i1", "a"}, func() (int, error) { return 7, nil })
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
		_, _ = Once(t.Context(), &all, Key{"pause", "i1", "a"}, func() (int, error) {
			close(entered)
			<-forever
			return 0, nil
		})
	})
	<-entered
	_, err := Once(hurried, &all, Key{"pause", "i1", "a"}, func() (int, error) { return 0, nil })
	require.ErrorIs(t, err, context.Canceled)
	close(forever)
	asking.Wait()
}

func TestJoin_KeepsNoResult(t *testing.T) {
	t.Parallel()
	var all Set
	for want := range 3 {
		got, err := Join(t.Context(), &all, Key{"create", "i1", "a"}, func() (int, error) { return want, nil })
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	require.Empty(t, all.calls)
}

func TestSet_DeletesOldResults(t *testing.T) {
	t.Parallel()
	var all Set
	_, err := Once(t.Context(), &all, Key{"pause", "i1", "a"}, func() (int, error) { return 1, nil })
	require.NoError(t, err)
	under, first := all.enter(Key{"pause", "i2", "b"})
	require.True(t, first)
	later := time.Now().Add(2 * retention)
	all.mutex.Lock()
	all.sweep(later)
	require.Len(t, all.calls, 1, "what is under way stays")
	require.Same(t, under, all.calls[Key{"pause", "i2", "b"}])
	all.mutex.Unlock()
}
