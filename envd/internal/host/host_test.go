package host

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMeter_MeasuresThisMachine(t *testing.T) {
	var meter Meter
	_, err := meter.Measure()
	require.NoError(t, err)
	measured, err := meter.Measure()
	require.NoError(t, err)
	require.Positive(t, measured.CPUCount)
	require.Positive(t, measured.MemoryTotal)
	require.Less(t, measured.MemoryUsed, measured.MemoryTotal)
	require.Equal(t, measured.MemoryTotal>>20, measured.MemoryTotalMiB)
	require.Positive(t, measured.DiskTotal)
	require.InDelta(t, 50, measured.CPUUsedPercent, 50, "a share in percent")
}

func TestCPUTimes_ShareOfTheBusyTicks(t *testing.T) {
	require.InDelta(t, 25, cpuTimes{busy: 150, total: 400}.since(cpuTimes{busy: 100, total: 200}), 0.01)
	require.Zero(t, cpuTimes{busy: 1, total: 1}.since(cpuTimes{busy: 5, total: 9}), "a clock that went back measures nothing")
}
