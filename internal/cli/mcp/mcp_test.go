package mcp

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	protocol "github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/cli/apiclient"
)

// fakeAPI answers some of the API and of a guest agent's files; test/e2e has the real one.
func fakeAPI(t *testing.T) (url string, bodies map[string]string) {
	t.Helper()
	bodies = map[string]string{}
	routes := http.NewServeMux()
	routes.HandleFunc("POST /sandboxes", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies["create"] = r.Header.Get("X-API-Key") + " " + string(body)
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"sandboxID":"i1","templateID":"t1","alias":"base"}`)
	})
	routes.HandleFunc("GET /v2/sandboxes", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `[]`) })
	routes.HandleFunc("GET /sandboxes/i1", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"sandboxID":"i1","state":"running","envdAccessToken":"token"}`)
	})
	routes.HandleFunc("GET /sandboxes/asleep", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"sandboxID":"asleep","state":"paused"}`)
	})
	routes.HandleFunc("POST /sandboxes/i1/fork", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies["fork"] = string(body)
		_, _ = io.WriteString(w, `[{"sandbox":{"sandboxID":"i2","templateID":"t1"}},{"error":{"code":507,"message":"no room"}}]`)
	})
	routes.HandleFunc("/sandboxes/", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"code":404,"message":"sandbox not found"}`)
	})
	routes.HandleFunc("GET /files", func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Query().Get("path"); path {
		case "/large":
			_, _ = io.WriteString(w, strings.Repeat("é", mostFile))
		case "/binary":
			_, _ = w.Write([]byte{0, 0xff})
		default:
			_, _ = io.WriteString(w, path+" of "+r.Header.Get("E2b-Sandbox-Id")+" by "+r.Header.Get("X-Access-Token"))
		}
	})
	server := httptest.NewServer(routes)
	t.Cleanup(server.Close)
	return server.URL, bodies
}

// dial connects the SDK's client to a server.
func dial(t *testing.T, server *protocol.Server) *protocol.ClientSession {
	t.Helper()
	ours, theirs := protocol.NewInMemoryTransports()
	serving, err := server.Connect(t.Context(), theirs, nil)
	require.NoError(t, err)
	client := protocol.NewClient(&protocol.Implementation{Name: "test"}, nil)
	session, err := client.Connect(t.Context(), ours, nil)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, session.Close())
		require.NoError(t, serving.Wait())
	})
	return session
}

// call calls a tool and returns its text, and whether it is an error.
func call(t *testing.T, session *protocol.ClientSession, tool string, arguments map[string]any) (text string, failed bool) {
	t.Helper()
	result, err := session.CallTool(t.Context(), &protocol.CallToolParams{Name: tool, Arguments: arguments})
	if err != nil {
		return err.Error(), true
	}
	for _, content := range result.Content {
		if one, is := content.(*protocol.TextContent); is {
			text += one.Text
		}
	}
	return text, result.IsError
}

func TestServer_ListsItsTools(t *testing.T) {
	session := dial(t, newServer(apiclient.ForKey("http://unused", "", "e2b_00")))
	listed, err := session.ListTools(t.Context(), nil)
	require.NoError(t, err)
	var names []string
	for _, tool := range listed.Tools {
		names = append(names, tool.Name)
		require.NotEmpty(t, tool.Description)
		require.NotNil(t, tool.InputSchema)
	}
	require.ElementsMatch(t, []string{
		"create_sandbox", "list_sandboxes", "pause_sandbox", "resume_sandbox", "fork_sandbox", "kill_sandbox", "run_command", "read_file", "write_file",
	}, names)
}

func TestTools_SendWhatTheyAreTold(t *testing.T) {
	url, bodies := fakeAPI(t)
	session := dial(t, newServer(apiclient.ForKey(url, "", "e2b_00")))
	text, failed := call(t, session, "create_sandbox", map[string]any{"env": map[string]string{"A": "1"}, "timeout_seconds": 60, "without_internet": true})
	require.False(t, failed, text)
	require.JSONEq(t, `{"sandboxID":"i1","templateID":"t1","alias":"base"}`, text)
	key, body, _ := strings.Cut(bodies["create"], " ")
	require.Equal(t, "e2b_00", key)
	require.JSONEq(t, `{"templateID":"base","timeout":60,"secure":true,"autoPause":false,"allow_internet_access":false,"envVars":{"A":"1"}}`, body)

	text, failed = call(t, session, "list_sandboxes", nil)
	require.False(t, failed, text)
	require.JSONEq(t, `{"sandboxes":[]}`, text)
	text, failed = call(t, session, "fork_sandbox", map[string]any{"sandbox_id": "i1", "count": 2})
	require.False(t, failed, text)
	require.JSONEq(t, `{"forks":[{"sandboxID":"i2","templateID":"t1"}]}`, text)
	require.JSONEq(t, `{"count":2,"timeout":300}`, bodies["fork"])
}

func TestReadFile_ReturnsTextOrBase64InParts(t *testing.T) {
	url, _ := fakeAPI(t)
	session := dial(t, newServer(apiclient.ForKey(url, "", "e2b_00")))
	read := func(path string, offset int64) readOutput {
		t.Helper()
		text, failed := call(t, session, "read_file", map[string]any{"sandbox_id": "i1", "path": path, "offset": offset})
		require.False(t, failed, text)
		var out readOutput
		require.NoError(t, json.Unmarshal([]byte(text), &out))
		return out
	}
	require.Equal(t, readOutput{Content: "/a of i1 by token", Encoding: "text"}, read("/a", 0))
	require.Equal(t, readOutput{Content: "by token", Encoding: "text"}, read("/a", 9))
	require.Equal(t, readOutput{Encoding: "text"}, read("/a", 900))
	require.Equal(t, readOutput{Content: base64.StdEncoding.EncodeToString([]byte{0, 0xff}), Encoding: "base64"}, read("/binary", 0))
	var whole string
	for offset, more := int64(0), true; more; {
		part := read("/large", offset)
		require.Equal(t, "text", part.Encoding)
		whole, offset, more = whole+part.Content, part.Next, part.Next > 0
	}
	require.Equal(t, strings.Repeat("é", mostFile), whole)
}

func TestTools_SayWhatIsWrong(t *testing.T) {
	url, _ := fakeAPI(t)
	session := dial(t, newServer(apiclient.ForKey(url, "", "e2b_00")))
	for want, c := range map[string]struct {
		tool      string
		arguments map[string]any
	}{
		"sandbox_id is empty":              {"kill_sandbox", map[string]any{"sandbox_id": ""}},
		`required: missing properties`:     {"kill_sandbox", map[string]any{}},
		"additional properties":            {"kill_sandbox", map[string]any{"sandbox_id": "i1", "force": true}},
		"sandbox not found":                {"pause_sandbox", map[string]any{"sandbox_id": "../v2/sandboxes"}},
		"it is at least 1":                 {"create_sandbox", map[string]any{"timeout_seconds": -1}},
		"it is from 1 to 3600":             {"run_command", map[string]any{"sandbox_id": "i1", "command": "x", "timeout_seconds": 4000}},
		"command is empty":                 {"run_command", map[string]any{"sandbox_id": "i1", "command": ""}},
		"sandbox asleep is paused":         {"run_command", map[string]any{"sandbox_id": "asleep", "command": "x"}},
		"offset is negative":               {"read_file", map[string]any{"sandbox_id": "i1", "path": "/a", "offset": -1}},
		"content is not base64":            {"write_file", map[string]any{"sandbox_id": "i1", "path": "/a", "content": "!", "encoding": "base64"}},
		"it is text or base64":             {"write_file", map[string]any{"sandbox_id": "i1", "path": "/a", "content": "x", "encoding": "hex"}},
		"has type \"string\"":              {"create_sandbox", map[string]any{"timeout_seconds": "soon"}},
		`unknown tool "destroy_sandboxes"`: {"destroy_sandboxes", nil},
	} {
		text, failed := call(t, session, c.tool, c.arguments)
		require.True(t, failed, "%s: %s", want, text)
		require.Contains(t, text, want)
	}
}

// withKey sends a header with each request.
type withKey struct{ name, value string }

func (w withKey) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(w.name, w.value)
	return http.DefaultTransport.RoundTrip(r)
}

func TestHTTP_ActsForTheKeyOfEachRequest(t *testing.T) {
	url, bodies := fakeAPI(t)
	server := httptest.NewServer(newHandler(url, ""))
	t.Cleanup(server.Close)
	for _, key := range []withKey{{"Authorization", "Bearer e2b_01"}, {"X-API-Key", "e2b_02"}} {
		client := protocol.NewClient(&protocol.Implementation{Name: "test"}, nil)
		session, err := client.Connect(t.Context(), &protocol.StreamableClientTransport{
			Endpoint: server.URL + "/mcp", HTTPClient: &http.Client{Transport: key}, DisableStandaloneSSE: true,
		}, nil)
		require.NoError(t, err)
		text, failed := call(t, session, "create_sandbox", nil)
		require.False(t, failed, text)
		require.True(t, strings.HasPrefix(bodies["create"], strings.TrimPrefix(key.value, "Bearer ")+" "), bodies["create"])
		require.NoError(t, session.Close())
	}
	for _, header := range []http.Header{{}, {"Authorization": {"Basic e2b_01"}}, {"Authorization": {"Bearer "}}} {
		request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, server.URL+"/mcp", strings.NewReader(`{}`))
		require.NoError(t, err)
		request.Header = header
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		response.Body.Close()
		require.Equal(t, http.StatusUnauthorized, response.StatusCode)
	}
}
