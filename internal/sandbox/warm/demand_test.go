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
