package auth

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

func TestLimiter_LetsABurstThroughAndThenOneEachInterval(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	limiter := NewLimiter(3, time.Minute)
	limiter.now = func() time.Time { return now }
	for range 3 {
		require.NoError(t, limiter.Check("a"))
		require.NoError(t, limiter.Take("a"))
	}
	require.True(t, fault.Is(limiter.Check("a"), fault.RateLimited))
	var refused *fault.Error
	require.ErrorAs(t, limiter.Take("a"), &refused)
	require.Equal(t, time.Minute, refused.RetryAfter)
	require.NoError(t, limiter.Take("b"), "others are not concerned")

	now = now.Add(time.Minute)
	require.NoError(t, limiter.Take("a"))
	require.Error(t, limiter.Take("a"))
	limiter.Forgive("a")
	require.NoError(t, limiter.Take("a"))
}

func TestLimiter_RemembersABoundedNumber(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	limiter := NewLimiter(1, time.Hour)
	limiter.now = func() time.Time { return now }
	for i := range 2 * maxLimited {
		require.NoError(t, limiter.Take(strconv.Itoa(i)))
		require.LessOrEqual(t, len(limiter.paid), maxLimited)
	}
	now = now.Add(2 * time.Hour)
	for i := 0; len(limiter.paid) > 1; i++ {
		require.Less(t, i, maxLimited, "who has paid is forgotten when room is needed")
		require.NoError(t, limiter.Take("later "+strconv.Itoa(i)))
	}
}
