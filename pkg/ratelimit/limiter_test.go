package ratelimit

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

func TestLimiter_AllowsABurstAndThenOneEachInterval(t *testing.T) {
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
	require.NoError(t, limiter.Take("b"), "another key")

	now = now.Add(time.Minute)
	require.NoError(t, limiter.Take("a"))
	require.Error(t, limiter.Take("a"))
	limiter.Forget("a")
	require.NoError(t, limiter.Take("a"))
}

func TestLimiter_KeepsABoundedNumberOfKeys(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	limiter := NewLimiter(1, time.Hour)
	limiter.now = func() time.Time { return now }
	for i := range 2 * maxBuckets {
		require.NoError(t, limiter.Take(strconv.Itoa(i)))
		require.LessOrEqual(t, len(limiter.buckets), maxBuckets)
	}
	now = now.Add(2 * time.Hour)
	for i := 0; len(limiter.buckets) > 1; i++ {
		require.Less(t, i, maxBuckets, "full buckets are dropped when room is needed")
		require.NoError(t, limiter.Take("later "+strconv.Itoa(i)))
	}
}

func TestRefund_GivesBackOneUseAndNoMoreThanTheBurst(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	limiter := NewLimiter(2, time.Minute)
	limiter.now = func() time.Time { return now }
	for range 2 {
		require.NoError(t, limiter.Take("a"))
	}
	limiter.Refund("a")
	require.NoError(t, limiter.Take("a"))
	require.Error(t, limiter.Take("a"))
	for range 5 {
		limiter.Refund("a")
	}
	for range 2 {
		require.NoError(t, limiter.Take("a"))
	}
	require.Error(t, limiter.Take("a"))
	limiter.Refund("never taken")
}

func TestRefusal_SaysWhenTheNextUseIsAllowed(t *testing.T) {
	t.Parallel()
	for _, interval := range []time.Duration{7 * time.Millisecond, time.Second, 6 * time.Second, 5 * time.Minute} {
		now := time.Unix(1000, 0)
		limiter := NewLimiter(10, interval)
		limiter.now = func() time.Time { return now }
		for range 10 {
			require.NoError(t, limiter.Take("a"))
		}
		for range 20 {
			var refused *fault.Error
			require.ErrorAs(t, limiter.Take("a"), &refused)
			require.Equal(t, 10, refused.Limit)
			require.InDelta(t, interval, refused.RetryAfter, float64(time.Microsecond))
			now = now.Add(refused.RetryAfter)
			require.NoError(t, limiter.Check("a"))
			require.NoError(t, limiter.Take("a"), interval)
		}
	}
}
