package inflight

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCounter_BoundsEachKeyAloneAndKeepsNothingOfWhatHasEnded(t *testing.T) {
	t.Parallel()
	var c Counter[string]
	require.True(t, c.Take("a", 2))
	require.True(t, c.Take("a", 2))
	require.False(t, c.Take("a", 2))
	require.True(t, c.Take("b", 2), "another key")
	c.GiveBack("a")
	require.True(t, c.Take("a", 2))
	for _, key := range []string{"a", "a", "b"} {
		c.GiveBack(key)
	}
	require.Empty(t, c.taken)
}
