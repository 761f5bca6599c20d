package main

import (
	"slices"
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
		createByHand: milliseconds(200), createByWrenn: milliseconds(210), createAnswered: milliseconds(100),
		warmByHand: milliseconds(200), createWarm: milliseconds(90), forks: milliseconds(840), forkCreates: milliseconds(210),
		fleetCreates: milliseconds(50), fleetTime: time.Second, fleetMemory: 32 << 20, fleetCPU: 0.002,
		pauseByHand: milliseconds(100), pauseByWrenn: milliseconds(60),
		resumeByWrenn:   milliseconds(220),
		commandStraight: milliseconds(10), commandByWrenn: milliseconds(13),
		commandForked: milliseconds(5), commandInside: milliseconds(8),
		uploadByHand: milliseconds(1000), uploadByAgent: milliseconds(900),
		downloadByHand: milliseconds(1000), downloadByAgent: milliseconds(1300),
		readByHand: milliseconds(100), readByAPI: milliseconds(120),
		listByHand: milliseconds(1000), listByAPI: milliseconds(2100),
		agentMemory: 16 << 20, agentSize: 9e6,
	}).report()
	for name, want := range map[string]comparison{
		"read, × bare handler":                  {Value: 1.2, Met: true},
		"list, × bare handler":                  {Value: 2.1},
		"create, × by hand":                     {Value: 1.05, Met: true},
		"create, held ready, × by hand":         {Value: 0.45},
		"ten forks, × one create":               {Value: 4},
		"a sandbox at rest, MiB":                {Value: 32},
		"a sandbox at rest, ms of CPU a second": {Value: 2, Met: true},
		"pause, × by hand":                      {Value: 0.6, Met: true},
		"resume, × restore by hand":             {Value: 1.1, Met: true},
		"command, ms more than straight":        {Value: 3},
		"command in the guest, × fork and exec": {Value: 1.6},
		"upload, × raw TCP":                     {Value: 0.9, Met: true},
		"download, × raw TCP":                   {Value: 1.3},
		"envd at rest, MiB resident":            {Value: 16, Met: true},
		"envd's binary, MB":                     {Value: 9, Met: true},
	} {
		at := slices.IndexFunc(report.Comparisons, func(c comparison) bool { return c.Name+", "+c.Unit == name })
		require.GreaterOrEqual(t, at, 0, name)
		require.InDelta(t, want.Value, report.Comparisons[at].Value, 1e-9, name)
		require.Equal(t, want.Met, report.Comparisons[at].Met, name)
	}
	var printed strings.Builder
	require.NoError(t, report.print(&printed))
	require.Contains(t, printed.String(), "missed")
}

func TestReport_LeavesOutWhatWasNotMeasured(t *testing.T) {
	second := []time.Duration{time.Second}
	report := (&measurements{readByHand: second, readByAPI: second, listByHand: second, listByAPI: second}).report()
	require.Len(t, report.Samples, 4)
	require.Len(t, report.Comparisons, 2)
}

func TestChooseParts_KeepsTheirOrder(t *testing.T) {
	all, err := chooseParts("")
	require.NoError(t, err)
	require.Len(t, all, 5)
	some, err := chooseParts("warm,api")
	require.NoError(t, err)
	require.Len(t, some, 2)
	require.Equal(t, "api", some[0].name)
	require.Equal(t, "warm", some[1].name)
	_, err = chooseParts("api,tepid")
	require.ErrorContains(t, err, "tepid")
}

func TestMedianRatio_IsOfTurns(t *testing.T) {
	require.InDelta(t, 2.0, medianRatio([]time.Duration{20, 300, 40}, []time.Duration{10, 100, 40}), 1e-9)
	require.InDelta(t, 1.5, medianRatio([]time.Duration{10, 200}, []time.Duration{10, 100}), 1e-9)
}
