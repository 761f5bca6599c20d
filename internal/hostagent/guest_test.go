package hostagent

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// testGroups looks at what only a real guest shows: that its kernel keeps what
// users run apart from the guest agent, and can stop it.
func testGroups(t *testing.T, a *agentUnderTest, id string) {
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

// callEnvd asks the guest agent as the host does.
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
