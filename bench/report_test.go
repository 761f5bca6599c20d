package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSummarise_InterpolatesPercentiles(t *testing.T) {
	got := summarise("x", []time.Duration{4 * time.Millisecond, 1 * time.Millisecond, 3 * time.Millisecond, 2 * time.Millisecond})
	require.InDelta(t, 2.5, got.P50, 1e-9)
	require.InDelta(t, 3.85, got.P95, 1e-9)
	require.InDelta(t, 1.0, got.Minimum, 1e-9)
	require.InDelta(t, 4.0, got.Maximum, 1e-9)
	require.Equal(t, 4, got.Count)
}

func TestReport_ComparesMediansWithTargets(t *testing.T) {
	milliseconds := func(n int) []time.Duration { return []time.Duration{time.Duration(n) * time.Millisecond} }
	report := (&measurements{
		createByHand: milliseconds(200), createByWrenn: milliseconds(240), createAnswered: milliseconds(100),
		pauseByHand: milliseconds(100), pauseByWrenn: milliseconds(160),
		resumeByWrenn:   milliseconds(220),
		commandStraight: milliseconds(10), commandByWrenn: milliseconds(13),
		commandForked: milliseconds(5), commandInside: milliseconds(8),
		uploadByHand: milliseconds(1000), uploadByAgent: milliseconds(1200),
		downloadByHand: milliseconds(1000), downloadByAgent: milliseconds(1300),
		agentMemory: 16 << 20, agentSize: 9e6,
	}).report()
	require.InDelta(t, 1.2, report.Comparisons[0].Value, 1e-9)
	require.True(t, report.Comparisons[0].Met)
	require.InDelta(t, 1.6, report.Comparisons[1].Value, 1e-9)
	require.False(t, report.Comparisons[1].Met)
	require.InDelta(t, 3.0, report.Comparisons[3].Value, 1e-9)
	require.True(t, report.Comparisons[4].Met, "upload")
	require.False(t, report.Comparisons[5].Met, "download")
	require.InDelta(t, 16, report.Comparisons[6].Value, 1e-9)
	require.InDelta(t, 9, report.Comparisons[7].Value, 1e-9)
	var printed strings.Builder
	require.NoError(t, report.print(&printed))
	require.Contains(t, printed.String(), "missed")
}
