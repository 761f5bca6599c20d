package api_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/api/access"
	"git.omukk.dev/wrenn/sandbox/internal/openapi"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

// described are the operations of the document that this server answers, by method
// and path. The content of volumes and uploads of builds stand apart from the control API.
func described(t *testing.T) map[string]*openapi.Operation {
	t.Helper()
	document, err := openapi.Load()
	require.NoError(t, err)
	all := map[string]*openapi.Operation{}
	for _, operation := range document.Operations() {
		if !strings.HasPrefix(operation.Path, "/volumecontent/") && !strings.HasPrefix(operation.Path, "/build-files/") {
			all[operation.Method+" "+operation.Path] = operation
		}
	}
	return all
}

func TestDocument_HasEveryRouteAndNoOther(t *testing.T) {
	t.Parallel()
	operations := described(t)
	for _, r := range routes(t, newWorld(t)) {
		require.Contains(t, operations, r.name(), "the document does not describe it")
	}
	for name := range access.Rules {
		require.Contains(t, operations, name, "the document does not describe it")
	}
	for name := range operations {
		require.Contains(t, access.Rules, name, "the document describes what is not there")
	}
}

func TestDocument_SaysWhoMayCallEachRoute(t *testing.T) {
	t.Parallel()
	kinds := map[string]auth.Kind{
		"apiKey": auth.ByKey, "session": auth.BySession, "accessToken": auth.ByAccessToken, "adminToken": auth.ByAdminToken,
	}
	operations := described(t)
	for name, rule := range access.Rules {
		operation, said := operations[name], map[auth.Kind]bool{}
		require.NotNil(t, operation, name)
		for _, way := range operation.Security {
			_, csrf := way["csrfToken"]
			_, session := way["session"]
			require.Equal(t, session && operation.Method != http.MethodGet, csrf, "%s: a session needs a CSRF token to change something", name)
			for scheme, kind := range kinds {
				if _, named := way[scheme]; named {
					said[kind] = true
				}
			}
		}
		for _, kind := range kinds {
			require.Equal(t, rule.Accepts(kind), said[kind], "%s by %s", name, kind)
		}
		require.NotNil(t, operation.Security, name)
		require.Equal(t, rule.IsPublic(), len(operation.Security) == 0, name)
		require.Equal(t, string(rule.Permission()), operation.Permission, name)
	}
}

func TestDocumentation_IsServedToEverybodyAndRunsNoScript(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	get := func(path string) (*http.Response, string) {
		response, err := http.Get(w.http.URL + path)
		require.NoError(t, err)
		defer response.Body.Close()
		content, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response, string(content)
	}
	for _, path := range []string{"/docs", "/docs/sandboxes"} {
		page, content := get(path)
		require.Equal(t, http.StatusOK, page.StatusCode, path)
		require.Equal(t, "text/html; charset=utf-8", page.Header.Get("Content-Type"))
		require.Contains(t, page.Header.Get("Content-Security-Policy"), "default-src 'none'")
		require.Contains(t, content, "/v2/sandboxes", path)
	}
	missing, _ := get("/docs/nothing")
	require.Equal(t, http.StatusNotFound, missing.StatusCode)
	served, text := get("/openapi.json")
	require.Equal(t, "application/json", served.Header.Get("Content-Type"))
	require.True(t, json.Valid([]byte(text)))
	served, text = get("/openapi.yaml")
	require.Equal(t, "application/yaml", served.Header.Get("Content-Type"))
	require.True(t, strings.HasPrefix(text, `openapi: "3.1.0"`))
}
