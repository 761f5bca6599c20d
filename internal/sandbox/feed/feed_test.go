package feed

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWatch_ReceivesTheListAndThenTheNewestOfEachChange(t *testing.T) {
	t.Parallel()
	var f Feed[int]
	ctx, leave := context.WithCancel(t.Context())
	var received []int
	err := f.Watch(ctx, func() []int { return []int{1, 2} }, func(item int) error {
		received = append(received, item)
		switch item {
		case 2:
			f.Announce("a", func() int { return 3 })
			f.Announce("a", func() int { return 4 })
		case 4:
			leave()
		}
		return nil
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, []int{1, 2, 4}, received)
	require.Empty(t, f.watchers)
}

func TestWatch_EndsWhenItsReceiverFails(t *testing.T) {
	t.Parallel()
	var f Feed[int]
	failure := errors.New("the client has left")
	require.ErrorIs(t, f.Watch(t.Context(), func() []int { return []int{1} }, func(int) error { return failure }), failure)
	require.Empty(t, f.watchers)
}
