package e2e

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"
)

// agent is a client of `wrenn mcp`, started as agents start it.
type agent struct {
	*mcp.ClientSession
	t *testing.T
}

func startAgent(t *testing.T) agent {
	t.Helper()
	command := running(t).Command(context.WithoutCancel(t.Context()), "mcp")
	command.Stderr = t.Output()
	client := mcp.NewClient(&mcp.Implementation{Name: "test"}, nil)
	session, err := client.Connect(t.Context(), &mcp.CommandTransport{Command: command}, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, session.Close()) })
	return agent{session, t}
}

// use calls a tool and reads its answer into into; its text is returned.
func (a agent) use(tool string, arguments map[string]any, into any) string {
	a.t.Helper()
	text, failed := a.try(tool, arguments)
	require.False(a.t, failed, "%s: %s", tool, text)
	if into != nil {
		require.NoError(a.t, json.Unmarshal([]byte(text), into), text)
	}
	return text
}

func (a agent) try(tool string, arguments map[string]any) (text string, failed bool) {
	a.t.Helper()
	result, err := a.CallTool(a.t.Context(), &mcp.CallToolParams{Name: tool, Arguments: arguments})
	require.NoError(a.t, err)
	for _, content := range result.Content {
		text += content.(*mcp.TextContent).Text
	}
	return text, result.IsError
}

// run runs a command and returns what it prints.
func (a agent) run(id, command string) string {
	a.t.Helper()
	var out struct {
		Stdout, Stderr string
		ExitCode       int `json:"exit_code"`
	}
	a.use("run_command", map[string]any{"sandbox_id": id, "command": command}, &out)
	require.Zero(a.t, out.ExitCode, out.Stderr)
	return strings.TrimSpace(out.Stdout)
}

func TestMCP_GivesAgentsSandboxes(t *testing.T) {
	a := startAgent(t)
	var made struct{ SandboxID string }
	a.use("create_sandbox", map[string]any{"env": map[string]string{"GREETING": "hello"}, "metadata": map[string]string{"by": "mcp"}}, &made)
	id := made.SandboxID
	in := map[string]any{"sandbox_id": id}
	defer a.use("kill_sandbox", in, nil)

	require.Equal(t, "hello root", a.run(id, "echo $GREETING $(sudo id -un)"))
	a.use("write_file", map[string]any{"sandbox_id": id, "path": "/tmp/new/file", "content": "é\n"}, nil)
	require.Equal(t, "é", a.run(id, "cat /tmp/new/file"))
	require.JSONEq(t, `{"content":"é\n","encoding":"text"}`, a.use("read_file", map[string]any{"sandbox_id": id, "path": "/tmp/new/file"}, nil))
	var failed struct {
		Stderr   string
		ExitCode int `json:"exit_code"`
	}
	a.use("run_command", map[string]any{"sandbox_id": id, "command": "echo why >&2; exit 7"}, &failed)
	require.Equal(t, 7, failed.ExitCode)
	require.Equal(t, "why\n", failed.Stderr)

	text, is := a.try("run_command", map[string]any{"sandbox_id": id, "command": "echo begun; exec sleep 1234", "timeout_seconds": 2})
	require.True(t, is)
	require.Contains(t, text, "killed after 2 s; it had printed:\nbegun")
	require.Equal(t, "gone", a.run(id, "pgrep -f 'sleep 123[4]' || echo gone"))

	a.use("pause_sandbox", in, nil)
	text, is = a.try("run_command", map[string]any{"sandbox_id": id, "command": "true"})
	require.True(t, is)
	require.Contains(t, text, "is paused")
	require.Contains(t, a.use("list_sandboxes", nil, nil), id)
	a.use("resume_sandbox", in, nil)

	var copies struct{ Forks []struct{ SandboxID string } }
	a.use("fork_sandbox", map[string]any{"sandbox_id": id}, &copies)
	require.Len(t, copies.Forks, 1)
	fork := copies.Forks[0].SandboxID
	a.run(fork, "rm /tmp/new/file")
	require.Equal(t, "é", a.run(id, "cat /tmp/new/file"))
	a.use("kill_sandbox", map[string]any{"sandbox_id": fork}, nil)

	for tool, arguments := range map[string]map[string]any{
		"kill_sandbox": {"sandbox_id": "inosuchsandbox000000"}, "read_file": {"sandbox_id": id, "path": "/no/such"},
		"create_sandbox": {"template": "no-such-template"}, "write_file": {"sandbox_id": id, "path": "/proc/version", "content": "x"},
	} {
		text, is := a.try(tool, arguments)
		require.True(t, is, "%s: %s", tool, text)
		require.NotEmpty(t, text)
	}
}
