package cpserver_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/httpserver/httpservertest"
)

func TestServer_RefusalsBeforeTheBodyIsReadArriveWhole(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	s := p.create(t, `{"templateID":"base"}`)
	created := p.do(t, http.MethodPost, "/volumes", `{"name":"data"}`)
	require.Equal(t, http.StatusCreated, created.status)
	var volume struct{ VolumeID, Token string }
	created.decode(t, &volume)
	content := "/volumecontent/" + volume.VolumeID
	key, token := http.Header{"X-Api-Key": {p.key}}, http.Header{"Authorization": {"Bearer " + volume.Token}}
	next := httpservertest.Question{Method: http.MethodGet, Path: "/sandboxes", Header: key}
	for _, refused := range []struct {
		method, path string
		header       http.Header
		status       int
	}{
		{http.MethodPost, "/sandboxes", http.Header{}, http.StatusUnauthorized},
		{http.MethodPost, "/nowhere", key, http.StatusNotFound},
		{http.MethodPatch, "/sandboxes", key, http.StatusMethodNotAllowed},
		{http.MethodPost, "/files", at(s.SandboxID, agentPort), http.StatusUnauthorized},
		{http.MethodPost, "/init", at(s.SandboxID, agentPort), http.StatusForbidden},
		{http.MethodPost, "/", at("i0123456789abcdefghi", 8080), http.StatusBadGateway},
		{http.MethodPut, content + "/file?path=/x", http.Header{}, http.StatusUnauthorized},
		{http.MethodPut, content + "/file?path=/no/directory", token, http.StatusNotFound},
		{http.MethodPut, content + "/path?path=/x", token, http.StatusMethodNotAllowed},
	} {
		for _, q := range httpservertest.Variants(httpservertest.Question{Method: refused.method, Path: refused.path, Header: refused.header}) {
			t.Run(q.String(), func(t *testing.T) {
				t.Parallel()
				first, second := httpservertest.Ask(t, p.url, q, next)
				require.Equal(t, refused.status, first.Status, "%s", first.Body)
				require.True(t, json.Valid(first.Body), "%s", first.Body)
				if second.Status != 0 {
					require.Equal(t, http.StatusOK, second.Status, "%s", second.Body)
				}
			})
		}
	}
	for _, q := range httpservertest.Variants(httpservertest.Question{Method: http.MethodPost, Path: "/sandboxes", Header: key}) {
		first, _ := httpservertest.Ask(t, p.url, q, next)
		want := http.StatusBadRequest // the body is not JSON
		if q.Size > 1<<20 {
			want = http.StatusRequestEntityTooLarge
		}
		require.Equal(t, want, first.Status, "%s: %s", q, first.Body)
	}
}

func TestVolumeContent_IsForPagesOfAnyOriginWithAToken(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	created := p.do(t, http.MethodPost, "/volumes", `{"name":"data"}`)
	var volume struct{ VolumeID, Token string }
	created.decode(t, &volume)
	require.Equal(t, "no-store", created.header.Get("Cache-Control"))
	path := "/volumecontent/" + volume.VolumeID + "/dir?path=/"
	asked := p.send(t, http.MethodOptions, path, "", http.Header{
		"Origin": {"https://app.example.com"}, "Access-Control-Request-Method": {"GET"}, "Access-Control-Request-Headers": {"authorization"},
	})
	require.Equal(t, http.StatusNoContent, asked.status)
	require.Equal(t, "authorization", asked.header.Get("Access-Control-Allow-Headers"))
	for token, status := range map[string]int{volume.Token: http.StatusOK, "wrong": http.StatusUnauthorized} {
		got := p.send(t, http.MethodGet, path, "", http.Header{"Origin": {"https://app.example.com"}, "Authorization": {"Bearer " + token}})
		require.Equal(t, status, got.status)
		require.Equal(t, []string{"*"}, got.header.Values("Access-Control-Allow-Origin"))
		require.Equal(t, "no-store", got.header.Get("Cache-Control"))
	}
}

// TestServer_RefusesStrangersBeforeTheySendABody sends nothing but the head, so that
// a server which reads first would wait.
func TestServer_RefusesStrangersBeforeTheySendABody(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	s := p.create(t, `{"templateID":"base"}`)
	for _, expects := range []string{"", "Expect: 100-continue\r\n"} {
		for _, to := range []string{
			"POST /sandboxes HTTP/1.1\r\n", "POST /volumes HTTP/1.1\r\n", "PUT /volumecontent/v0123456789abcdefghi/file?path=/x HTTP/1.1\r\n",
			"POST /files HTTP/1.1\r\nE2b-Sandbox-Id: " + s.SandboxID + "\r\n",
		} {
			conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
			require.NoError(t, err)
			require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
			_, err = fmt.Fprintf(conn, "%sHost: x\r\n%sContent-Length: 1000\r\n\r\n", to, expects)
			require.NoError(t, err)
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			require.Equal(t, http.StatusUnauthorized, response.StatusCode, "%s%s", to, expects)
			require.True(t, response.Close)
			_, err = io.ReadAll(response.Body)
			require.NoError(t, err)
			require.NoError(t, conn.Close())
		}
	}
}
