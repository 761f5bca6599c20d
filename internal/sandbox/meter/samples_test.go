package meter

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestHistory_KeepsTheLastMinutesInTheOrderOfTime(t *testing.T) {
	t.Parallel()
	var h History
	start := time.Unix(1_800_000_000, 0)
	at := func(second int) time.Time { return start.Add(time.Duration(second) * time.Second) }
	require.Empty(t, h.After(time.Time{}, false))
	require.Empty(t, h.After(time.Time{}, true))
	const total = historyLength + 70
	for second := range total {
		h.add(Sample{At: at(second)})
	}
	all := h.After(time.Time{}, false)
	require.Len(t, all, historyLength)
	for i, sample := range all {
		require.Equal(t, at(total-historyLength+i), sample.At)
	}
	require.Equal(t, []Sample{{At: at(total - 2)}, {At: at(total - 1)}}, h.After(at(total-3), false))
	require.Equal(t, []Sample{{At: at(total - 1)}}, h.After(time.Time{}, true))
	require.Empty(t, h.After(at(total-1), true))
	require.Empty(t, h.After(at(total-1), false))
}

func TestGuestSample_IsBoundedByWhatTheGuestWasGiven(t *testing.T) {
	t.Parallel()
	const memory, disk, huge = 512 << 20, 4096 << 20, 1 << 63
	report := GuestSample{MemoryTotalBytes: huge, MemoryUsedBytes: huge, MemoryCacheBytes: huge, DiskUsedBytes: huge, DiskTotalBytes: huge}
	require.Equal(t, GuestSample{MemoryUsedBytes: memory, MemoryTotalBytes: memory, MemoryCacheBytes: memory, DiskUsedBytes: disk, DiskTotalBytes: disk}, report.Bounded(512, 4096))

	report = GuestSample{MemoryTotalBytes: 1000, MemoryUsedBytes: 400, MemoryCacheBytes: 2000, DiskUsedBytes: 5, DiskTotalBytes: 10}
	require.Equal(t, GuestSample{MemoryUsedBytes: 400, MemoryTotalBytes: 1000, MemoryCacheBytes: 1000, DiskUsedBytes: 5, DiskTotalBytes: 10}, report.Bounded(512, 4096))
}
