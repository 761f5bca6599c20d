package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"
)

// serverVariable makes the test's program a server for the gateway.
const serverVariable = "GATEWAY_TEST_SERVER"

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(serverVariable) != "":
		runServer(os.Getenv(serverVariable))
		return
	case len(os.Args) > 1 && os.Args[1] == "--serve":
		main()
		return
	}
	os.Exit(m.Run())
}

// runServer is a server with three tools: one says who it is, one ends it, one lives for
// as long as its client.
func runServer(name string) {
	server := mcp.NewServer(&mcp.Implementation{Name: name}, nil)
	type nothing struct{}
	mcp.AddTool(server, &mcp.Tool{Name: "who"}, func(context.Context, *mcp.CallToolRequest, struct {
		Greeting string `json:"greeting"`
	},
	) (*mcp.CallToolResult, any, error) {
		text := fmt.Sprintf("%s, pid %d, token %q", name, os.Getpid(), os.Getenv(tokenVariable))
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil, nil
	})
	mcp.AddTool(server, &mcp.Tool{Name: "end_" + name}, func(context.Context, *mcp.CallToolRequest, nothing) (*mcp.CallToolResult, any, error) {
		os.Exit(3)
		return nil, nil, nil
	})
	_ = server.Run(context.Background(), &mcp.StdioTransport{})
}

func testServer(t *testing.T, name string) definition {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	return definition{name: "command/" + name, kind: command, source: name, run: "exec " + program, environment: map[string]string{serverVariable: name}}
}

// bearer sends the token with each request.
type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}

func connectTo(t *testing.T, url, token string) (*mcp.ClientSession, error) {
	t.Helper()
	client := mcp.NewClient(&mcp.Implementation{Name: "test"}, nil)
	return client.Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint: url + "/mcp", HTTPClient: &http.Client{Transport: bearer(token)}, DisableStandaloneSSE: true,
	}, nil)
}

// startGateway serves some servers and returns a client.
func startGateway(t *testing.T, root string, all ...definition) (*mcp.ClientSession, string) {
	t.Helper()
	made, err := newGateway(t.Context(), all, root, t.Output())
	require.NoError(t, err)
	t.Cleanup(made.close)
	server := httptest.NewServer(made.handler("secret"))
	t.Cleanup(server.Close)
	session, err := connectTo(t, server.URL, "secret")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, session.Close()) })
	return session, server.URL
}

func toolNames(t *testing.T, session *mcp.ClientSession) []string {
	t.Helper()
	var names []string
	for tool, err := range session.Tools(t.Context(), nil) {
		require.NoError(t, err)
		names = append(names, tool.Name)
	}
	return names
}

func use(t *testing.T, session *mcp.ClientSession, tool string, arguments map[string]any) (string, error) {
	t.Helper()
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: arguments})
	if err != nil {
		return "", err
	}
	text := ""
	for _, content := range result.Content {
		if one, is := content.(*mcp.TextContent); is {
			text += one.Text
		}
	}
	return text, nil
}

func TestGateway_OffersTheToolsOfAllServers(t *testing.T) {
	t.Setenv(tokenVariable, "secret")
	session, url := startGateway(t, t.TempDir(), testServer(t, "one"), testServer(t, "two"))
	require.ElementsMatch(t, []string{"who", "end_one", "command_two_who", "end_two"}, toolNames(t, session))
	greeting := map[string]any{"greeting": "hi"}
	first, err := use(t, session, "who", greeting)
	require.NoError(t, err)
	require.Contains(t, first, `one, pid`)
	require.Contains(t, first, `token ""`, "the gateway's token is not its servers'")
	second, err := use(t, session, "command_two_who", greeting)
	require.NoError(t, err)
	require.Contains(t, second, "two, pid")
	text, err := use(t, session, "who", map[string]any{"greeting": 1})
	require.True(t, err != nil || strings.Contains(text, "greeting"), "the server refuses what is wrong: %s %v", text, err)

	_, err = use(t, session, "end_one", nil)
	require.ErrorContains(t, err, "server command/one ended")
	again, err := use(t, session, "who", greeting)
	require.NoError(t, err)
	require.Contains(t, again, "one, pid")
	require.NotEqual(t, first, again, "it was started anew")

	for _, token := range []string{"", "wrong"} {
		_, err := connectTo(t, url, token)
		require.Error(t, err)
	}
}

func TestGateway_SaysWhyAServerDoesNotStart(t *testing.T) {
	for want, d := range map[string]definition{
		"start server command/x":                {name: "command/x", kind: command, source: "x", run: "exit 3"},
		"install command/x: echo why; exit 3":   {name: "command/x", kind: command, source: "x", run: "true", install: "echo why; exit 3"},
		"install npm/no-such-package-of-wrenns": {name: "npm/no-such-package-of-wrenns", kind: npm, source: "no-such-package-of-wrenns"},
	} {
		_, err := newGateway(t.Context(), []definition{d}, t.TempDir(), t.Output())
		require.ErrorContains(t, err, want)
	}
}

// TestGateway_RunsPackages installs a real server from each registry.
func TestGateway_RunsPackages(t *testing.T) {
	all, err := parseConfig([]byte(`{"memory": {}, "pypi/mcp-server-time==2026.10.19": {"args": ["--local-timezone", "UTC"]}}`))
	require.NoError(t, err)
	root := t.TempDir()
	require.NoError(t, pull(t.Context(), places{servers: root}, []string{"memory", "pypi/mcp-server-time==2026.10.19"}))
	t.Setenv("npm_config_offline", "true") // what was pulled needs no network
	session, _ := startGateway(t, root, all...)
	require.Subset(t, toolNames(t, session), []string{"create_entities", "get_current_time"})
	text, err := use(t, session, "get_current_time", map[string]any{"timezone": "UTC"})
	require.NoError(t, err)
	require.Contains(t, text, strconv.Itoa(time.Now().UTC().Year()))
}

func TestBackground_ServesAfterItsStarterHasEnded(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	directory := t.TempDir()
	p := places{servers: filepath.Join(directory, "servers"), token: filepath.Join(directory, "etc", "token"), log: filepath.Join(directory, "log"), listen: address}
	program, err := os.Executable()
	require.NoError(t, err)
	config := fmt.Sprintf(`{"command/mine": {"runCmd": "exec %s", "envs": {%q: "mine"}}, "command/stop": {"runCmd": "echo $PPID > %s; exec %[1]s", "envs": {%[2]q: "stop"}}}`,
		program, serverVariable, filepath.Join(directory, "pid"))
	require.ErrorContains(t, background(p, `{"command/mine": {"runCmd": "exit 3"}}`), "start server command/mine")

	t.Setenv(tokenVariable, "of the SDK")
	require.NoError(t, background(p, config))
	t.Cleanup(func() {
		content, err := os.ReadFile(filepath.Join(directory, "pid"))
		require.NoError(t, err)
		pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
		require.NoError(t, err)
		gateway, err := os.FindProcess(pid)
		require.NoError(t, err)
		require.NoError(t, gateway.Signal(os.Interrupt))
	})
	token, err := os.ReadFile(p.token)
	require.NoError(t, err)
	require.Equal(t, "of the SDK", string(token))
	session, err := connectTo(t, "http://"+address, string(token))
	require.NoError(t, err)
	defer func() { require.NoError(t, session.Close()) }()
	text, err := use(t, session, "who", map[string]any{"greeting": "hi"})
	require.NoError(t, err)
	require.Contains(t, text, "mine, pid")
	require.ErrorContains(t, background(p, config), "listen", "a second gateway says why it does not start")
}
