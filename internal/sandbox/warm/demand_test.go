package warm

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDemand_AsksForMoreClonesAfterMoreCreates(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	var d demand
	require.Equal(t, 1, d.clones(now), "one is ready without any demand")
	for range 20 {
		d = d.plusOne(now)
	}
	require.Equal(t, 6, d.clones(now))
	require.Equal(t, 2, d.clones(now.Add(time.Minute)))
	require.Equal(t, 1, d.clones(now.Add(time.Hour)))
}

func TestDemand_SaysWhetherABuildIsUsed(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	var d demand
	require.False(t, d.isUsed(now))
	d = d.plusOne(now)
	require.False(t, d.isUsed(now), "once is not enough")
	d = d.plusOne(now.Add(time.Minute))
	require.True(t, d.isUsed(now.Add(time.Minute)))
	require.False(t, d.isUsed(now.Add(time.Hour)))
	for range 20 {
		d = d.plusOne(now)
	}
	require.True(t, d.isUsed(now.Add(time.Hour)), "what was used much is kept for longer")
	require.False(t, d.isUsed(now.Add(3*time.Hour)))
}
