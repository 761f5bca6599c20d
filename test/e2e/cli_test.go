package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// commandLine runs wrenn and returns its output, errors and exit code.
func commandLine(t *testing.T, input string, arguments ...string) (stdout, stderr string, exitCode int) {
	t.Helper()
	command := running(t).Command(t.Context(), arguments...)
	var out, problems bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(input), &out, &problems
	err := command.Run()
	var exit *exec.ExitError
	if err != nil {
		require.ErrorAs(t, err, &exit)
		exitCode = exit.ExitCode()
	}
	return out.String(), problems.String(), exitCode
}

// succeed runs wrenn, which must end well, and returns its output.
func succeed(t *testing.T, arguments ...string) string {
	t.Helper()
	stdout, stderr, exitCode := commandLine(t, "", arguments...)
	require.Zero(t, exitCode, "wrenn %s: %s", strings.Join(arguments, " "), stderr)
	return strings.TrimSpace(stdout)
}

func TestCLI_TakesASandboxThroughItsLife(t *testing.T) {
	id := succeed(t, "sandbox", "create", "--env", "GREETING=hello", "--metadata", "by=cli", "--timeout", "2m")
	require.Regexp(t, `^i[a-z0-9]{19}$`, id)
	killed := false
	t.Cleanup(func() {
		if !killed {
			succeed(t, "sandbox", "kill", id)
		}
	})

	require.Equal(t, "hello", succeed(t, "sandbox", "exec", id, "--", "sh", "-c", "echo $GREETING"))
	require.Equal(t, "root", succeed(t, "sandbox", "exec", "--user", "root", id, "id", "-un"))
	_, stderr, exitCode := commandLine(t, "", "sandbox", "exec", id, "--", "sh", "-c", "echo why >&2; exit 5")
	require.Equal(t, 5, exitCode)
	require.Equal(t, "why\n", stderr)
	stdout, _, exitCode := commandLine(t, "piped in\n", "sandbox", "exec", id, "tr", "a-z", "A-Z")
	require.Zero(t, exitCode)
	require.Equal(t, "PIPED IN\n", stdout)

	require.Contains(t, succeed(t, "sandbox", "list"), id)
	succeed(t, "sandbox", "pause", id)
	require.Equal(t, "paused", listedState(t, id))
	_, stderr, exitCode = commandLine(t, "", "sandbox", "exec", id, "true")
	require.NotZero(t, exitCode)
	require.Contains(t, stderr, "paused")
	succeed(t, "sandbox", "resume", id)
	require.Equal(t, "running", listedState(t, id))
	require.Equal(t, "back", succeed(t, "sandbox", "exec", id, "echo", "back"))

	succeed(t, "sandbox", "kill", id)
	killed = true
	require.Empty(t, listedState(t, id))
}

// listedState is a sandbox's state in the list; empty when it is not there.
func listedState(t *testing.T, id string) string {
	t.Helper()
	var sandboxes []struct {
		SandboxID string `json:"sandboxID"`
		State     string `json:"state"`
	}
	require.NoError(t, json.Unmarshal([]byte(succeed(t, "sandbox", "list", "--json")), &sandboxes))
	for _, s := range sandboxes {
		if s.SandboxID == id {
			return s.State
		}
	}
	return ""
}

func TestCLI_FindsTheRunningWrennByItsDataDirectory(t *testing.T) {
	wrenn := running(t)
	command := wrenn.Command(t.Context(), "sandbox", "list", "--json", "--data-dir", wrenn.DataDir)
	command.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	output, err := command.Output()
	require.NoError(t, err)
	require.JSONEq(t, "[]", string(output))
}

func TestCLI_IsTheAdminOnItsOwnMachine(t *testing.T) {
	wrenn := running(t)
	command := wrenn.Command(t.Context(), "host", "list", "--json", "--data-dir", wrenn.DataDir)
	command.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	output, err := command.Output()
	require.NoError(t, err)
	var hosts []struct{ State string }
	require.NoError(t, json.Unmarshal(output, &hosts))
	require.Len(t, hosts, 1)
	require.Equal(t, "ready", hosts[0].State)
}

// asAdmin runs wrenn as the admin of this machine.
func asAdmin(t *testing.T, arguments ...string) string {
	t.Helper()
	wrenn := running(t)
	command := wrenn.Command(t.Context(), append(arguments, "--data-dir", wrenn.DataDir)...)
	command.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	output, err := command.Output()
	require.NoError(t, err, "wrenn %s", strings.Join(arguments, " "))
	return strings.TrimSpace(string(output))
}

func TestCLI_DemandsWhatTheHostGivesAndIsRefusedAnotherIsolation(t *testing.T) {
	var hosts []struct{ Name, Isolation, Driver, Accelerator string }
	require.NoError(t, json.Unmarshal([]byte(asAdmin(t, "host", "list", "--json")), &hosts))
	require.Len(t, hosts, 1)
	given, other := hosts[0].Isolation, "gvisor"
	require.Contains(t, []string{"vm", "gvisor"}, given)
	if given == other {
		other = "vm"
	}
	runs := given + ", by " + hosts[0].Driver + " under " + hosts[0].Accelerator
	require.Contains(t, asAdmin(t, "host", "show", hosts[0].Name), runs)
	examined, _, _ := commandLine(t, "", "doctor", "--data-dir", running(t).DataDir)
	require.Contains(t, examined, runs)

	id := succeed(t, "sandbox", "create", "--isolation", given, "--timeout", "2m")
	defer succeed(t, "sandbox", "kill", id)
	require.Equal(t, "here", succeed(t, "sandbox", "exec", id, "echo", "here"))
	succeed(t, "sandbox", "pause", id)
	succeed(t, "sandbox", "resume", id)
	require.Equal(t, "back", succeed(t, "sandbox", "exec", id, "echo", "back"))

	refused := func() answer {
		return send(t, request{
			method: http.MethodPost, path: "/v2/sandboxes", key: validKey, body: `{"templateID":"base"}`, header: http.Header{"Wrenn-Isolation": {other}},
		})
	}
	requireError(t, refused(), http.StatusConflict)
	_, stderr, exitCode := commandLine(t, "", "sandbox", "create", "--isolation", other)
	require.NotZero(t, exitCode)
	require.Contains(t, stderr, "no host of this installation gives isolation "+other+"; they give "+given)

	require.Contains(t, asAdmin(t, "team", "set", "default", "--isolation", given), "demands isolation "+given)
	defer asAdmin(t, "team", "set", "default", "--isolation", "any")
	requireError(t, refused(), http.StatusForbidden)
	_, stderr, exitCode = commandLine(t, "", "sandbox", "create", "--isolation", other)
	require.NotZero(t, exitCode)
	require.Contains(t, stderr, "isolation "+other+" is asked for, and the team demands "+given)
}

func TestCLI_SaysInOneLineWhatIsWrong(t *testing.T) {
	for name, arguments := range map[string][]string{
		"unknown sandbox":  {"sandbox", "exec", "i0123456789abcdefghi", "true"},
		"unknown template": {"sandbox", "create", "no-such-template"},
		"unknown command":  {"sandbox", "dance"},
		"negative timeout": {"sandbox", "create", "--timeout", "-5s"},
		"killed already":   {"sandbox", "kill", "i0123456789abcdefghi"},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, exitCode := commandLine(t, "", arguments...)
			require.NotZero(t, exitCode)
			require.Empty(t, stdout)
			require.NotEmpty(t, strings.TrimSpace(stderr))
			require.NotContains(t, strings.TrimSpace(stderr), "\n")
		})
	}
}
