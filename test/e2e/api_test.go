package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// request is one call of the API, as raw as a careless client would send it.
type request struct {
	method string
	path   string
	// key is sent as X-API-Key; "valid" stands for the real one.
	key    string
	header http.Header
	body   string
}

const validKey = "valid"

type answer struct {
	status int
	header http.Header
	body   []byte
}

func send(t *testing.T, r request) answer {
	t.Helper()
	got, err := trySend(t, r)
	require.NoError(t, err)
	return got
}

// trySend is send to a Wrenn that may not answer.
func trySend(t *testing.T, r request) (answer, error) {
	t.Helper()
	wrenn := running(t)
	outgoing, err := http.NewRequestWithContext(t.Context(), r.method, wrenn.URL()+r.path, strings.NewReader(r.body))
	require.NoError(t, err)
	for name, values := range r.header {
		outgoing.Header[name] = values
	}
	if r.body != "" && outgoing.Header.Get("Content-Type") == "" {
		outgoing.Header.Set("Content-Type", "application/json")
	}
	if r.key == validKey {
		r.key = wrenn.APIKey
	}
	if r.key != "" {
		outgoing.Header.Set("X-API-Key", r.key)
	}
	response, err := httpClient(t).Do(outgoing)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{status: response.StatusCode, header: response.Header, body: body}, err
}

// requireError checks the shape that every refusal has.
func requireError(t *testing.T, got answer, wantStatus int) {
	t.Helper()
	require.Equal(t, wantStatus, got.status, "body: %s", got.body)
	var refusal struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
	require.NoError(t, json.Unmarshal(got.body, &refusal), "body: %s", got.body)
	require.Equal(t, wantStatus, refusal.Code)
	require.NotEmpty(t, refusal.Message)
	require.True(t, strings.HasPrefix(got.header.Get("Content-Type"), "application/json"))
}

func TestAPI_RefusesWhoHasNoKey(t *testing.T) {
	for name, key := range map[string]string{
		"no key":                "",
		"wrong key":             "e2b_" + strings.Repeat("0", 40),
		"key of another form":   "secret",
		"key that is too short": "e2b_00",
		"key with a quote":      "e2b_' OR 1=1 --",
		"key that is very long": "e2b_" + strings.Repeat("a", 10_000),
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range []request{
				{method: http.MethodGet, path: "/sandboxes"},
				{method: http.MethodGet, path: "/v2/sandboxes"},
				{method: http.MethodPost, path: "/sandboxes", body: `{"templateID":"base"}`},
				{method: http.MethodPost, path: "/v2/sandboxes", body: `{"templateID":"base"}`},
				{method: http.MethodGet, path: "/sandboxes/i0123456789abcdefghi"},
				{method: http.MethodDelete, path: "/sandboxes/i0123456789abcdefghi"},
			} {
				r.key = key
				requireError(t, send(t, r), http.StatusUnauthorized)
			}
		})
	}
}

func TestAPI_RefusesBadSandboxRequests(t *testing.T) {
	for name, body := range map[string]string{
		"nothing":                       "",
		"no JSON":                       "{",
		"another JSON type":             `["base"]`,
		"two documents":                 `{"templateID":"base"} {"templateID":"base"}`,
		"no template":                   `{}`,
		"empty template":                `{"templateID":""}`,
		"template of another type":      `{"templateID":7}`,
		"template that is a path":       `{"templateID":"../../etc/passwd"}`,
		"negative timeout":              `{"templateID":"base","timeout":-1}`,
		"timeout in words":              `{"templateID":"base","timeout":"long"}`,
		"fraction as timeout":           `{"templateID":"base","timeout":1.5}`,
		"timeout beyond 32 bits":        `{"templateID":"base","timeout":99999999999}`,
		"metadata that is a list":       `{"templateID":"base","metadata":["a"]}`,
		"metadata with a number":        `{"templateID":"base","metadata":{"a":1}}`,
		"metadata with an object":       `{"templateID":"base","metadata":{"a":{"b":"c"}}}`,
		"metadata with a zero byte":     `{"templateID":"base","metadata":{"a":"\u0000"}}`,
		"environment with a number":     `{"templateID":"base","envVars":{"A":1}}`,
		"environment with a bad name":   `{"templateID":"base","envVars":{"A=B":"c"}}`,
		"environment with a zero byte":  `{"templateID":"base","envVars":{"A":"\u0000"}}`,
		"auto-pause of another type":    `{"templateID":"base","autoPause":"yes"}`,
		"egress rule that is no subnet": `{"templateID":"base","network":{"allowOut":7}}`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/sandboxes", "/v2/sandboxes"} {
				got := send(t, request{method: http.MethodPost, path: path, key: validKey, body: body})
				requireError(t, got, http.StatusBadRequest)
			}
		})
	}
	requireNoSandboxes(t)
}

func TestAPI_RefusesUnknownTemplate(t *testing.T) {
	for _, path := range []string{"/sandboxes", "/v2/sandboxes"} {
		got := send(t, request{method: http.MethodPost, path: path, key: validKey, body: `{"templateID":"no-such-template"}`})
		requireError(t, got, http.StatusNotFound)
	}
	requireNoSandboxes(t)
}

func TestAPI_RefusesHugeBody(t *testing.T) {
	body := `{"templateID":"base","metadata":{"a":"` + strings.Repeat("x", 32<<20) + `"}}`
	got := send(t, request{method: http.MethodPost, path: "/sandboxes", key: validKey, body: body})
	require.Contains(t, []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge}, got.status, "body: %s", got.body)
	requireError(t, got, got.status)
	requireNoSandboxes(t)
}

func TestAPI_DoesNotFindUnknownSandboxes(t *testing.T) {
	ids := map[string]struct {
		id     string
		status int
	}{
		"well-formed":      {"i0123456789abcdefghi", http.StatusNotFound},
		"too short":        {"i0", http.StatusNotFound},
		"upper case":       {"I0123456789ABCDEFGHI", http.StatusNotFound},
		"very long":        {"i" + strings.Repeat("a", 5_000), http.StatusNotFound},
		"with a quote":     {"i'%20OR%201=1--", http.StatusBadRequest},
		"with a path":      {"..%2F..%2Fetc%2Fpasswd", http.StatusBadRequest},
		"with a zero byte": {"i%00", http.StatusBadRequest},
		"not UTF-8":        {"%FF%FE", http.StatusBadRequest},
	}
	for name, unknown := range ids {
		id := unknown.id
		t.Run(name, func(t *testing.T) {
			for _, r := range []request{
				{method: http.MethodGet, path: "/sandboxes/" + id},
				{method: http.MethodDelete, path: "/sandboxes/" + id},
				{method: http.MethodPost, path: "/sandboxes/" + id + "/pause"},
				{method: http.MethodPost, path: "/sandboxes/" + id + "/pause", body: `{}`},
				{method: http.MethodPost, path: "/sandboxes/" + id + "/resume", body: `{"timeout":10}`},
				{method: http.MethodPost, path: "/sandboxes/" + id + "/connect", body: `{"timeout":10}`},
				{method: http.MethodPost, path: "/v2/sandboxes/" + id + "/connect", body: `{"timeout":10}`},
				{method: http.MethodPost, path: "/sandboxes/" + id + "/timeout", body: `{"timeout":10}`},
				{method: http.MethodPost, path: "/sandboxes/" + id + "/refreshes", body: `{"duration":10}`},
			} {
				r.key = validKey
				requireError(t, send(t, r), unknown.status)
			}
		})
	}
}

func TestAPI_RefusesBadListQueries(t *testing.T) {
	for name, query := range map[string]string{
		"limit of zero":           "limit=0",
		"limit too large":         "limit=101",
		"negative limit":          "limit=-1",
		"limit in words":          "limit=many",
		"unknown state":           "state=asleep",
		"metadata badly escaped":  "metadata=a%25zz%3Db",
		"token that is not ours":  "nextToken=garbage",
		"unknown order":           "order=sideways",
		"time that is not a time": "startedAfter=yesterday",
	} {
		t.Run(name, func(t *testing.T) {
			got := send(t, request{method: http.MethodGet, path: "/v2/sandboxes?" + query, key: validKey})
			requireError(t, got, http.StatusBadRequest)
		})
	}
}

func TestAPI_DoesNotKnowOtherRoutes(t *testing.T) {
	for _, path := range []string{"/no/such/route", "/sandboxes/", "/sandboxes/x/y/z", "/.git/config", "/debug/pprof/"} {
		got := send(t, request{method: http.MethodGet, path: path, key: validKey})
		require.Contains(t, []int{http.StatusNotFound, http.StatusMethodNotAllowed}, got.status, "GET %s: %s", path, got.body)
		requireError(t, got, got.status)
	}
	got := send(t, request{method: http.MethodPatch, path: "/sandboxes", key: validKey})
	requireError(t, got, http.StatusMethodNotAllowed)
}

func TestAPI_TellsItsHealthToEverybody(t *testing.T) {
	require.Equal(t, http.StatusNoContent, send(t, request{method: http.MethodGet, path: "/health"}).status)
}

// requireNoSandboxes checks that what was refused has left nothing behind.
func requireNoSandboxes(t *testing.T) {
	t.Helper()
	got := send(t, request{method: http.MethodGet, path: "/v2/sandboxes", key: validKey})
	require.Equal(t, http.StatusOK, got.status)
	require.JSONEq(t, "[]", string(bytes.TrimSpace(got.body)))
}
