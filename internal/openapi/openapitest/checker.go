// Package openapitest holds a server to the API's document: whatever it answers in
// a test, and whatever requests it takes, must be as the document says.
package openapitest

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/openapi"
)

// maxKept is how much of a body is looked at; what is longer is not looked into.
const maxKept = 4 << 20

// Checker compares what is asked and answered with the document.
type Checker struct {
	t          *testing.T
	router     *chi.Mux
	operations map[string]*openapi.Operation
	schemas    *schemas
}

// New makes a checker that fails a test.
func New(t *testing.T) *Checker {
	t.Helper()
	document, err := openapi.Load()
	require.NoError(t, err)
	c := &Checker{t: t, router: chi.NewRouter(), operations: map[string]*openapi.Operation{}}
	c.schemas, err = compileSchemas(document.JSON)
	require.NoError(t, err)
	for _, operation := range document.Operations() {
		c.operations[operation.Method+" "+operation.Path] = operation
		c.router.MethodFunc(operation.Method, operation.Path, func(http.ResponseWriter, *http.Request) {})
	}
	return c
}

// exchange is a request and its answer.
type exchange struct {
	request  *http.Request
	sent     *kept
	status   int
	header   http.Header
	answered *kept
}

// kept is the beginning of a body.
type kept struct {
	bytes.Buffer
	tooLong bool
}

// Write keeps what there is room for.
func (k *kept) Write(data []byte) (int, error) {
	if room := maxKept - k.Len(); len(data) > room {
		k.tooLong = true
		k.Buffer.Write(data[:room])
		return len(data), nil
	}
	return k.Buffer.Write(data)
}

// Wrap returns a handler that answers as another does and is checked.
func (c *Checker) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := exchange{request: r, sent: new(kept), answered: new(kept)}
		if r.Body != nil {
			r.Body = struct {
				io.Reader
				io.Closer
			}{io.TeeReader(r.Body, e.sent), r.Body}
		}
		wrapped := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		wrapped.Tee(e.answered)
		next.ServeHTTP(wrapped, r) // what panics is not answered, and not checked
		if r.Context().Err() != nil {
			return // the client left; there may be half an answer
		}
		e.status, e.header = wrapped.Status(), wrapped.Header()
		if e.status == 0 {
			e.status = http.StatusOK
		}
		for _, reason := range c.check(e) {
			c.t.Errorf("%s %s, answered with %d, is not as the API's document says: %s", r.Method, r.URL.Path, e.status, reason)
		}
	})
}

// check says what is not as the document has it.
func (c *Checker) check(e exchange) []string {
	if strings.HasPrefix(e.request.URL.Path, "/extensions/") {
		return nil // what extensions answer is theirs
	}
	if e.request.Method == http.MethodOptions && e.request.Header.Get("Access-Control-Request-Method") != "" {
		return nil // what a browser asks first is no operation of the API
	}
	context := chi.NewRouteContext()
	if !c.router.Match(context, e.request.Method, e.request.URL.EscapedPath()) {
		return c.checkRefusal(e)
	}
	operation := c.operations[e.request.Method+" "+context.RoutePattern()]
	problems := c.checkAnswer(operation, e)
	if e.status < http.StatusMultipleChoices {
		problems = append(problems, c.checkQuery(operation, e.request.URL.Query())...)
		// What the server says that it ignored is not in the document.
		if e.header.Get("Wrenn-Ignored-Fields") == "" {
			problems = append(problems, c.checkSent(operation, e)...)
		}
	}
	return problems
}

// checkRefusal checks an answer for which the document has no operation: it must
// be a refusal in the usual form.
func (c *Checker) checkRefusal(e exchange) []string {
	if e.status < http.StatusBadRequest {
		return []string{"there is no such operation"}
	}
	if strings.HasPrefix(e.request.URL.Path, "/volumecontent/") {
		return c.schemas.check("/components/schemas/VolumeError", e.answered.Bytes())
	}
	return c.schemas.check("/components/schemas/Error", e.answered.Bytes())
}

func (c *Checker) checkAnswer(operation *openapi.Operation, e exchange) []string {
	status := strconv.Itoa(e.status)
	for _, response := range operation.Responses {
		if response.Key != status {
			continue
		}
		if len(response.Value.Content) == 0 {
			if e.answered.Len() > 0 && e.status != http.StatusFound {
				return []string{"it has a body"}
			}
			return nil
		}
		given, _, err := mime.ParseMediaType(e.header.Get("Content-Type"))
		if err != nil {
			return []string{fmt.Sprintf("its Content-Type is %q", e.header.Get("Content-Type"))}
		}
		for _, content := range response.Value.Content {
			if content.Key != given {
				continue
			}
			if given != "application/json" || e.answered.tooLong {
				return nil
			}
			return c.schemas.check(c.schemas.answer(operation, status), e.answered.Bytes())
		}
		return []string{"its content is of type " + given}
	}
	return []string{"there is no such status: " + strings.TrimSpace(e.answered.String())}
}

func (c *Checker) checkSent(operation *openapi.Operation, e exchange) []string {
	body := bytes.TrimSpace(e.sent.Bytes())
	switch {
	case operation.RequestBody == nil:
		if len(body) > 0 && string(body) != "{}" {
			return []string{"it was sent a body"}
		}
		return nil
	case operation.RequestBody.Content[0].Key != "application/json", e.sent.tooLong:
		return nil
	case len(body) == 0 && operation.RequestBody.Required:
		return []string{"it was sent no body"}
	case len(body) == 0:
		return nil
	default:
		return c.schemas.checkRequest(pointer("paths", operation.Path, strings.ToLower(operation.Method),
			"requestBody", "content", "application/json", "schema"), body)
	}
}

func (c *Checker) checkQuery(operation *openapi.Operation, query map[string][]string) []string {
	var problems []string
	for name, values := range query {
		at := parameterAt(operation, name)
		if at < 0 {
			problems = append(problems, "there is no parameter "+name)
			continue
		}
		for _, value := range values {
			for _, reason := range c.schemas.checkText(operation, at, value) {
				problems = append(problems, name+": "+reason)
			}
		}
	}
	return problems
}

func parameterAt(operation *openapi.Operation, name string) int {
	for i, parameter := range operation.Parameters {
		if parameter.In == "query" && parameter.Name == name {
			return i
		}
	}
	return -1
}
