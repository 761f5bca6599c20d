package conntrack

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// pipe is a dial that succeeds at once.
func pipe(context.Context) (net.Conn, error) {
	ours, _ := net.Pipe()
	return ours, nil
}

func requireClosed(t *testing.T, conn net.Conn) {
	t.Helper()
	_, err := conn.Write([]byte("x"))
	require.Error(t, err)
}

func TestTracker(t *testing.T) {
	t.Parallel()
	t.Run("holds a connection until it is closed", func(t *testing.T) {
		t.Parallel()
		var tracker Tracker[string]
		conn, err := tracker.Dial(t.Context(), "a", pipe)
		require.NoError(t, err)
		require.True(t, tracker.IsOpen("a"))
		require.False(t, tracker.IsOpen("b"))
		require.NoError(t, conn.Close())
		require.False(t, tracker.IsOpen("a"))
		require.Empty(t, tracker.open)
	})
	t.Run("forgets a dial that fails", func(t *testing.T) {
		t.Parallel()
		var tracker Tracker[string]
		refused := errors.New("refused")
		_, err := tracker.Dial(t.Context(), "a", func(context.Context) (net.Conn, error) { return nil, refused })
		require.ErrorIs(t, err, refused)
		require.Empty(t, tracker.open)
	})
	t.Run("closes only the keys that match", func(t *testing.T) {
		t.Parallel()
		var tracker Tracker[string]
		a, err := tracker.Dial(t.Context(), "a", pipe)
		require.NoError(t, err)
		b, err := tracker.Dial(t.Context(), "b", pipe)
		require.NoError(t, err)
		tracker.CloseWhere(func(key string) bool { return key == "a" })
		requireClosed(t, a)
		require.False(t, tracker.IsOpen("a"))
		require.True(t, tracker.IsOpen("b"))
		require.NoError(t, a.Close(), "closing twice")
		require.NoError(t, b.Close())
	})
	t.Run("ends a dial that waits", func(t *testing.T) {
		t.Parallel()
		var tracker Tracker[string]
		_, err := tracker.Dial(t.Context(), "a", func(ctx context.Context) (net.Conn, error) {
			tracker.CloseWhere(func(string) bool { return true })
			<-ctx.Done()
			return nil, ctx.Err()
		})
		require.ErrorIs(t, err, net.ErrClosed)
	})
	t.Run("closes a connection that is dialled too late", func(t *testing.T) {
		t.Parallel()
		var tracker Tracker[string]
		ours, _ := net.Pipe()
		_, err := tracker.Dial(t.Context(), "a", func(context.Context) (net.Conn, error) {
			tracker.CloseWhere(func(string) bool { return true })
			return ours, nil
		})
		require.ErrorIs(t, err, net.ErrClosed)
		requireClosed(t, ours)
	})
	t.Run("dials nothing once it is closed", func(t *testing.T) {
		t.Parallel()
		var tracker Tracker[string]
		conn, err := tracker.Dial(t.Context(), "a", pipe)
		require.NoError(t, err)
		tracker.Close()
		requireClosed(t, conn)
		_, err = tracker.Dial(t.Context(), "a", pipe)
		require.ErrorIs(t, err, net.ErrClosed)
	})
}
