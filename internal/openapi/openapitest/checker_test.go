package openapitest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/openapi"
)

func answerOf(method, path, sent string, status int, contentType, body string) exchange {
	e := exchange{
		request: httptest.NewRequest(method, path, nil), sent: new(kept), answered: new(kept),
		status: status, header: http.Header{"Content-Type": {contentType}},
	}
	e.sent.WriteString(sent)
	e.answered.WriteString(body)
	return e
}

func TestChecker_FindsWhatIsNotAsTheDocumentSays(t *testing.T) {
	t.Parallel()
	const snapshot, refusal, asJSON = `[{"snapshotID": "s", "names": []}]`, `{"code": 404, "message": "no"}`, "application/json"
	for name, test := range map[string]struct {
		exchange exchange
		problem  string // "" for none
	}{
		"right":              {answerOf("GET", "/snapshots?limit=5", "", 200, asJSON, snapshot), ""},
		"a field too many":   {answerOf("GET", "/snapshots", "", 200, asJSON, `[{"snapshotID": "s", "names": [], "x": 1}]`), "additional properties 'x'"},
		"a field too few":    {answerOf("GET", "/snapshots", "", 200, asJSON, `[{"snapshotID": "s"}]`), "missing property 'names'"},
		"a wrong type":       {answerOf("GET", "/snapshots", "", 200, asJSON, `[{"snapshotID": 1, "names": []}]`), "got number, want string"},
		"no JSON":            {answerOf("GET", "/snapshots", "", 200, asJSON, `[`), "it is not JSON"},
		"another type":       {answerOf("GET", "/snapshots", "", 200, "text/plain", snapshot), "of type text/plain"},
		"another status":     {answerOf("GET", "/snapshots", "", 418, asJSON, refusal), "no such status"},
		"a refusal":          {answerOf("GET", "/sandboxes/x", "", 404, asJSON, refusal), ""},
		"a bad refusal":      {answerOf("GET", "/sandboxes/x", "", 404, asJSON, `{}`), "missing properties"},
		"no such route":      {answerOf("GET", "/nothing", "", 404, asJSON, refusal), ""},
		"undescribed":        {answerOf("GET", "/nothing", "", 200, asJSON, `{}`), "no such operation"},
		"a body where none":  {answerOf("DELETE", "/sandboxes/x", "", 204, asJSON, `{}`), "it has a body"},
		"unknown parameter":  {answerOf("GET", "/snapshots?colour=red", "", 200, asJSON, snapshot), "no parameter colour"},
		"bad parameter":      {answerOf("GET", "/snapshots?limit=500", "", 200, asJSON, snapshot), "limit: "},
		"bad request":        {answerOf("POST", "/sandboxes/x/timeout", `{"timeout": "soon"}`, 204, "", ""), "got string, want integer"},
		"no request":         {answerOf("POST", "/sandboxes/x/timeout", "", 204, "", ""), "sent no body"},
		"refused request":    {answerOf("POST", "/sandboxes/x/timeout", `{"timeout": "soon"}`, 400, asJSON, `{"code": 400, "message": "no"}`), ""},
		"a list of names":    {answerOf("GET", "/sandboxes/metrics?sandbox_ids=a,b", "", 200, asJSON, `{"sandboxes": {}}`), ""},
		"volumes' refusal":   {answerOf("GET", "/volumecontent/v/path?path=/", "", 404, asJSON, `{"code": "not_found", "message": "no"}`), ""},
		"not one of volumes": {answerOf("GET", "/volumecontent/v/path?path=/", "", 404, asJSON, refusal), "got number, want string"},
		"an extension's":     {answerOf("GET", "/extensions/billing/x", "", 299, "text/plain", "hello"), ""},
	} {
		got := strings.Join(New(t).check(test.exchange), "; ")
		if test.problem == "" {
			require.Empty(t, got, name)
		} else {
			require.Contains(t, got, test.problem, name)
		}
	}
}

func TestDocument_HasSchemasThatCompileAndExamplesThatFit(t *testing.T) {
	t.Parallel()
	document, err := openapi.Load()
	require.NoError(t, err)
	c := New(t)
	for _, operation := range document.Operations() {
		for _, response := range operation.Responses {
			for _, content := range response.Value.Content {
				if content.Key == "application/json" {
					_, err := c.schemas.at(c.schemas.answer(operation, response.Key))
					require.NoError(t, err)
				}
			}
		}
		if operation.RequestBody == nil || operation.RequestBody.Content[0].Value.Example.IsZero() {
			continue
		}
		place := pointer("paths", operation.Path, strings.ToLower(operation.Method), "requestBody", "content", "application/json", "schema")
		var example any
		require.NoError(t, operation.RequestBody.Content[0].Value.Example.Decode(&example))
		require.Empty(t, c.schemas.checkValue(place, example), operation.ID)
	}
}
