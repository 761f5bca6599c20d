package main

import (
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPlan_GivesAFewCasesToEachHost(t *testing.T) {
	orders, err := plan(options{suites: []string{"bin/lab/qemu.test"}, cases: "^Snapshot_|^Kill", casesPerHost: 3}, io.Discard)
	require.NoError(t, err)
	require.Len(t, orders, 2)
	require.Equal(t, "qemu.test", orders[0].suite)
	require.Len(t, orders[0].cases, 3)
	require.Equal(t, []string{"Snapshot_FailsAndTheGuestRunsOn", "Kill_LeavesNothingRunning"}, orders[1].cases)
	require.Equal(t, []string{
		"-test.v", "-test.timeout=1m0s", "-test.run=^TestDriver$/^(Snapshot_FailsAndTheGuestRunsOn|Kill_LeavesNothingRunning)$",
	}, orders[1].flags(time.Minute))
}

func TestPlan_RefusesCasesThatAreNotThere(t *testing.T) {
	_, err := plan(options{suites: []string{"qemu.test"}, cases: "Nonsense"}, io.Discard)
	require.ErrorContains(t, err, "no case matches")
	_, err = plan(options{}, io.Discard)
	require.ErrorContains(t, err, "no suite")
}

func TestRunHost_EndsByTheStatusOnTheConsole(t *testing.T) {
	for name, test := range map[string]struct{ script, want string }{
		"all passed":          {"echo === RUN; echo wrenn-lab-status 0; echo powering off", ""},
		"one failed":          {"echo wrenn-lab-status 1", "some cases failed"},
		"it ended early":      {"echo kernel panic", "the host ended before its tests did; the end of its console:\nkernel panic"},
		"it cannot be booted": {"echo no such machine >&2; exit 1", "exit status 1: no such machine"},
		"it prints nothing":   {"echo booting; exec sleep 60", "the host hangs: it has printed nothing for 300ms; the end of its console:\nbooting"},
		"it never ends":       {"while :; do echo working; sleep 0.1; done", "the host hangs: it has run for 1s; the end of its console:\nworking"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shell, err := exec.LookPath("sh")
			require.NoError(t, err)
			var output strings.Builder
			limits := limits{total: time.Second, silence: 300 * time.Millisecond}
			err = runHost(t.Context(), []string{shell, "-c", test.script}, limits, &output)
			require.NotContains(t, output.String(), "powering off")
			if test.want == "" {
				require.NoError(t, err)
				require.Equal(t, "=== RUN\n", output.String())
				return
			}
			require.ErrorContains(t, err, test.want)
			require.Equal(t, strings.Contains(test.want, "hangs"), errors.Is(err, errHung))
		})
	}
}
