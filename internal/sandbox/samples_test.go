package sandbox

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/envdclient"
)

func TestHistory_KeepsTheLastMinutesInTheOrderOfTime(t *testing.T) {
	t.Parallel()
	var h history
	start := time.Unix(1_800_000_000, 0)
	at := func(second int) time.Time { return start.Add(time.Duration(second) * time.Second) }
	require.Empty(t, h.after(time.Time{}, false))
	require.Empty(t, h.after(time.Time{}, true))
	const total = historyLength + 70
	for second := range total {
		h.add(Sample{At: at(second)})
	}
	all := h.after(time.Time{}, false)
	require.Len(t, all, historyLength)
	for i, sample := range all {
		require.Equal(t, at(total-historyLength+i), sample.At)
	}
	require.Equal(t, []Sample{{At: at(total - 2)}, {At: at(total - 1)}}, h.after(at(total-3), false))
	require.Equal(t, []Sample{{At: at(total - 1)}}, h.after(time.Time{}, true))
	require.Empty(t, h.after(at(total-1), true))
	require.Empty(t, h.after(at(total-1), false))
}

func TestBelievable_BoundsWhatAGuestSays(t *testing.T) {
	t.Parallel()
	given := record{MemoryMiB: 512, DiskMiB: 4096}
	const memory, disk, huge = 512 << 20, 4096 << 20, 1 << 63
	said := believable(envdclient.Metrics{MemoryTotal: huge, MemoryUsed: huge, MemoryCache: huge, DiskUsed: huge, DiskTotal: huge}, given)
	require.WithinDuration(t, time.Now(), said.At, time.Minute)
	said.At = time.Time{}
	require.Equal(t, GuestSample{MemoryUsedBytes: memory, MemoryTotalBytes: memory, MemoryCacheBytes: memory, DiskUsedBytes: disk, DiskTotalBytes: disk}, said)

	said = believable(envdclient.Metrics{MemoryTotal: 1000, MemoryUsed: 400, MemoryCache: 2000, DiskUsed: 5, DiskTotal: 10}, given)
	said.At = time.Time{}
	require.Equal(t, GuestSample{MemoryUsedBytes: 400, MemoryTotalBytes: 1000, MemoryCacheBytes: 1000, DiskUsedBytes: 5, DiskTotalBytes: 10}, said)
}
