package hostagent

import (
	"context"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/gen/process"
	"git.omukk.dev/wrenn/sandbox/gen/process/processconnect"
	"git.omukk.dev/wrenn/sandbox/internal/network"
)

// testGroups checks that a guest's kernel runs users' processes in a control group of
// their own, and can freeze it.
func testGroups(t *testing.T, a *agentUnderTest, id string) {
	a.needsLinux(t, "control groups version 2")
	require.Equal(t, "0::/commands/user", a.run(t, id, "cat /proc/self/cgroup"))
	groups := "cd /sys/fs/cgroup && "
	require.Equal(t, "1000 100", a.run(t, id, groups+"echo $(cat envd/cpu.weight commands/cpu.weight)"))
	limits := strings.Fields(a.run(t, id, groups+"echo $(cat envd/memory.min) $(cat commands/memory.max) $(awk '/MemTotal/{print $2*1024}' /proc/meminfo)"))
	require.Len(t, limits, 3)
	require.Equal(t, "33554432", limits[0])
	require.NotEqual(t, "max", limits[1])
	require.Equal(t, "100", a.run(t, id, "cat /proc/self/oom_score_adj"))

	status, body := a.callEnvd(t, id, "/freeze?maxWaitMs=5000")
	require.Equal(t, http.StatusOK, status, body)
	require.Contains(t, body, `"requested":2,"frozen":2,`)
	status, body = a.callEnvd(t, id, "/unfreeze")
	require.Equal(t, http.StatusNoContent, status, body)
	status, body = a.callEnvd(t, id, "/collapse")
	require.Equal(t, http.StatusOK, status, body)
	status, body = a.callEnvd(t, id, "/fsfreeze")
	require.Equal(t, http.StatusNoContent, status, body)
	status, body = a.callEnvd(t, id, "/fsthaw")
	require.Equal(t, http.StatusNoContent, status, body)
	require.Equal(t, "written", a.run(t, id, "echo written > /home/user/after-thaw && cat /home/user/after-thaw"))
}

// testTerminal keeps a terminal open by a job that ignores SIGHUP.
func testTerminal(t *testing.T, a *agentUnderTest, id string) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client := processconnect.NewProcessClient(&http.Client{Transport: toGuest{id, 49983, a.traffic.Transport}}, "http://guest")
	open := func(script string) (*connect.ServerStreamForClient[process.StartResponse], uint32) {
		stream, err := client.Start(ctx, connect.NewRequest(&process.StartRequest{
			Process: &process.ProcessConfig{Cmd: "/bin/bash", Args: []string{"-c", script}}, Pty: &process.PTY{Size: &process.PTY_Size{}},
		}))
		require.NoError(t, err)
		require.True(t, stream.Receive(), "%v", stream.Err())
		return stream, stream.Msg().GetEvent().GetStart().GetPid()
	}
	const job = "(trap '' HUP; exec sleep 31234) & "
	ended, _ := open(job + "stty size")
	defer func() { require.NoError(t, ended.Close()) }()
	var screen strings.Builder
	for ended.Receive() {
		screen.Write(ended.Msg().GetEvent().GetData().GetPty())
	}
	require.NoError(t, ended.Err(), "it ends before the job does")
	require.Equal(t, "24 80\r\n", screen.String())
	require.Equal(t, "1", a.run(t, id, "until pgrep -cf 'sleep 3123[4]' >/tmp/jobs; do sleep 0.1; done; cat /tmp/jobs; pkill -f 'sleep 3123[4]'"))

	killed, pid := open(job + "set -m; sleep 31235 & echo started; sleep 31236")
	defer func() { require.NoError(t, killed.Close()) }()
	for screen.Reset(); !strings.Contains(screen.String(), "started") && killed.Receive(); {
		screen.Write(killed.Msg().GetEvent().GetData().GetPty())
	}
	_, err := client.SendSignal(ctx, connect.NewRequest(&process.SendSignalRequest{
		Process: &process.ProcessSelector{Selector: &process.ProcessSelector_Pid{Pid: pid}}, Signal: process.Signal_SIGNAL_SIGKILL,
	}))
	require.NoError(t, err)
	for killed.Receive() {
	}
	require.NoError(t, killed.Err())
	require.Equal(t, "0", a.run(t, id, "pgrep -cf 'sleep 3123[4-6]'"))
}

// callEnvd sends a request to the guest agent, as the host does.
func (a *agentUnderTest) callEnvd(t *testing.T, id, path string) (status int, body string) {
	t.Helper()
	client := &http.Client{Transport: toGuest{id, 49983, a.traffic.Transport}}
	response, err := client.Post("http://guest"+path, "application/json", http.NoBody)
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(content)
}

// testConfinement checks the rights of a VM's process, which a guest might take over.
func testConfinement(t *testing.T, a *agentUnderTest, _ string) {
	a.sandbox(t) // a second VM, which must have another user
	if a.hasLayers() {
		t.Skip("the driver's own suite reads the rights of a sandbox")
	}
	machines := virtualMachines(t, a.config.DataDir)
	require.GreaterOrEqual(t, len(machines), 2)
	users := map[string]bool{}
	for _, machine := range machines {
		status, err := os.ReadFile("/proc/" + machine + "/status")
		require.NoError(t, err)
		_, rest, _ := strings.Cut(string(status), "\nUid:\t")
		user, _, _ := strings.Cut(rest, "\t")
		require.False(t, users[user], "another VM is %s too", user)
		users[user] = true
		number, err := strconv.Atoi(user)
		require.NoError(t, err)
		require.GreaterOrEqual(t, number, network.DefaultFirstUser)
		four := strings.Join([]string{user, user, user, user}, "\t")
		for name, want := range map[string]string{
			"Uid": four, "Gid": four, "Groups": user,
			"CapEff": "0000000000000000", "CapPrm": "0000000000000000", "NoNewPrivs": "1", "Seccomp": "2",
		} {
			_, rest, found := strings.Cut(string(status), "\n"+name+":")
			require.True(t, found, name)
			value, _, _ := strings.Cut(rest, "\n")
			require.Equal(t, want, strings.TrimSpace(value), name)
		}
		visible, err := os.ReadDir("/proc/" + machine + "/root")
		require.NoError(t, err)
		require.Empty(t, visible, "the process can see files")
		for _, kind := range []string{"mnt", "pid_for_children", "net", "ipc", "uts"} {
			own, err := os.Readlink("/proc/self/ns/" + kind)
			require.NoError(t, err)
			its, err := os.Readlink("/proc/" + machine + "/ns/" + kind)
			require.NoError(t, err)
			require.NotEqual(t, own, its, kind)
		}
	}
}
