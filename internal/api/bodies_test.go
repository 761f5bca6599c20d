package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/api/access"
	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

// withoutBody are the routes that could have a body, going by their method, and
// have none.
var withoutBody = map[string]bool{
	"POST /auth/logout":     true,
	"POST /auth/local/link": true,
	"POST /auth/totp/enrol": true,
	// A form of an identity provider.
	"POST /auth/oidc/{provider}/callback": true,
	// Refused whatever they ask for.
	"POST /templates": true, "POST /v2/templates": true, "POST /v3/templates": true, "POST /templates/{templateID}": true,
	"POST /templates/{templateID}/builds/{buildID}": true, "POST /v2/templates/{templateID}/builds/{buildID}": true,
}

// A body that is not what a route takes is refused before anything else happens:
// in this test there is nothing behind the handlers that it could happen with.
func TestBodies_ThatAreWrongAreRefusedByEveryRouteWithTheFieldNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	patient(w)
	owner := w.firstAdmin(t).session(t)
	handler := w.server.Handler()
	checked := 0
	const unknownField = `{"nonsense":1}`
	for _, r := range routes(t, w) {
		if r.method == http.MethodGet || r.method == http.MethodDelete && r.pattern != "/templates/tags" || withoutBody[r.name()] {
			continue
		}
		checked++
		for _, wrong := range []struct {
			body, message string
			status        int
		}{
			{unknownField, "nonsense: there is no such field", http.StatusBadRequest},
			{`{"nonsense":1,"nonsense":2}`, "nonsense", http.StatusBadRequest},
			{`{"a":` + strings.Repeat(`{"a":`, 10_000) + `1` + strings.Repeat(`}`, 10_001), "nested deeper", http.StatusBadRequest},
			{`{"a":"` + strings.Repeat("a", 2<<20) + `"}`, "bytes", http.StatusRequestEntityTooLarge},
			{`[]`, "must be a JSON object", http.StatusBadRequest},
			{`null`, "must be a JSON object", http.StatusBadRequest},
			{`<xml/>`, "not valid JSON", http.StatusBadRequest},
			{`{"a":`, "not valid JSON", http.StatusBadRequest},
			{"\x00\xff", "not valid JSON", http.StatusBadRequest},
		} {
			if wrong.body == unknownField && request.E2BRoutes.MatchString(r.pattern) {
				continue // left out there
			}
			request := httptest.NewRequest(r.method, r.path(w.team.ID), strings.NewReader(wrong.body))
			request.Header = owner.Clone()
			if access.Rules[r.name()] == auth.ByAdmin() {
				request.Header = http.Header{"X-Admin-Token": {adminToken}}
			}
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, request)
			require.Equal(t, wrong.status, recorder.Code, "%s with %.40q: %s", r.name(), wrong.body, recorder.Body)
			require.Contains(t, recorder.Body.String(), wrong.message, "%s with %.40q", r.name(), wrong.body)
		}
	}
	require.Greater(t, checked, 30)
}

// What no database can hold is refused in addresses, too, wherever it stands.
func TestAddresses_WithTextThatCannotBeStoredAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	handler := w.server.Handler()
	requireAnswer := func(status int, method, address string) {
		t.Helper()
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, httptest.NewRequest(method, address, nil))
		require.Equal(t, status, recorder.Code, "%s %s: %s", method, address, recorder.Body)
	}
	for _, r := range routes(t, w) {
		path := r.path(w.team.ID)
		for _, query := range []string{"nextToken=%00", "limit=1&state=a%00b&template=%00", "metadata=%ff", "a=%2", "%00=1"} {
			requireAnswer(http.StatusBadRequest, r.method, path+"?"+query)
		}
		if strings.Contains(r.pattern, "{") {
			requireAnswer(http.StatusBadRequest, r.method, strings.Replace(path, "-", "%00", 1))
			requireAnswer(http.StatusBadRequest, r.method, strings.Replace(path, "-", "%ff", 1))
		}
	}
}
