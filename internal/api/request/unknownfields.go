package request

import (
	"context"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/go-chi/chi/v5"

	"git.omukk.dev/wrenn/sandbox/pkg/exactjson"
)

// ignoredFieldsHeader has the fields of a request that were ignored.
const ignoredFieldsHeader = "Wrenn-Ignored-Fields"

// E2BRoutes matches the patterns of routes that E2B's clients use. Newer clients may
// send fields that this server does not have; on all other routes an unknown field is a
// mistake.
var E2BRoutes = regexp.MustCompile(`^(/v[23])?/(sandboxes|snapshots|templates|volumes|secrets|api-keys|access-tokens|nodes)(/|$)` +
	`|^/admin/teams/\{teamID\}/(sandboxes|builds|api-keys)(/|$)`)

// unknownFields notes the fields of a request that were ignored.
type unknownFields struct {
	header http.Header
	log    func(fields []string)
}

type unknownFieldsKey struct{}

// Tolerance makes Decode ignore unknown fields on E2B's routes, and logs them.
type Tolerance struct {
	Log *slog.Logger

	logged loggedClients
}

// Middleware must be a middleware of the routes themselves: before routing, the route is
// not known.
func (t *Tolerance) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pattern := chi.RouteContext(r.Context()).RoutePattern()
		if r.Method == http.MethodGet || !E2BRoutes.MatchString(pattern) {
			next.ServeHTTP(w, r)
			return
		}
		noted := &unknownFields{header: w.Header(), log: func(fields []string) {
			if t.logged.first(r.UserAgent() + " " + r.Method + " " + pattern) {
				t.Log.InfoContext(r.Context(), "client sent unknown fields, which were ignored",
					"client", exactjson.Shortened(r.UserAgent()), "method", r.Method, "route", pattern, "fields", strings.Join(fields, ", "))
			}
		}}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), unknownFieldsKey{}, noted)))
	})
}

var plainName = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)

func (u *unknownFields) note(paths []string) {
	names := make([]string, 0, len(paths))
	for _, path := range paths {
		name := exactjson.Shortened(path)
		if !plainName.MatchString(name) {
			name = strconv.QuoteToASCII(name) // a header cannot have other characters
		}
		names = append(names, name)
	}
	u.header.Set(ignoredFieldsHeader, strings.Join(names, ", "))
	u.log(names)
}

// maxLoggedClients bounds the clients that are logged and remembered.
const maxLoggedClients = 1000

// loggedClients are the clients, by User-Agent and route, that have been logged.
type loggedClients struct {
	mutex sync.Mutex
	seen  map[string]bool
}

func (c *loggedClients) first(client string) bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.seen[client] || len(c.seen) >= maxLoggedClients {
		return false
	}
	if c.seen == nil {
		c.seen = map[string]bool{}
	}
	c.seen[client] = true
	return true
}
