package extension

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"runtime/debug"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/cpextension"
)

// Prefix begins the paths of extensions' routes. The extension's name follows.
const Prefix = "/extensions/"

const longestTitle = 60

var pagePattern = regexp.MustCompile(`^(/[a-z0-9_-]+)+$`)

// route makes the router of an extension.
func (s *Set) route(i *instance) error {
	i.router = chi.NewRouter()
	i.router.Use(i.recoverPanics)
	for _, build := range append(i.beforeAuth(), i.afterAuth()...) {
		build(http.NotFoundHandler()) // finds at the start that it panics
	}
	if router, routes := i.extension.(cpextension.Router); routes {
		router.Routes(scopes{s, i.router})
	}
	if pager, has := i.extension.(cpextension.Pager); has {
		return s.routePages(i, pager.Pages())
	}
	return nil
}

func (s *Set) routePages(i *instance, pages []cpextension.Page) error {
	for _, page := range pages {
		if page.Title == "" || len(page.Title) > longestTitle || !pagePattern.MatchString(page.Path) || page.Handler == nil {
			return fmt.Errorf("page %q at %q: a page needs a title of at most %d bytes, a path such as /overview and a handler",
				page.Title, page.Path, longestTitle)
		}
		whole := Prefix + i.name + page.Path
		i.pages = append(i.pages, Page{Title: page.Title, Path: whole, AdminOnly: page.AdminOnly})
		router := scopes{s, i.router}.User()
		if page.AdminOnly {
			router = scopes{s, i.router}.Admin()
		}
		handler := http.StripPrefix(whole, rooted(page.Handler))
		router.Handle(page.Path, handler)
		router.Handle(page.Path+"/*", handler)
	}
	return nil
}

// rooted replaces an empty path by "/".
func rooted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "" {
			r.URL.Path = "/" // r is the copy that http.StripPrefix has made
		}
		next.ServeHTTP(w, r)
	})
}

// scopes are the routers of one extension.
type scopes struct {
	set    *Set
	router chi.Router
}

func (s scopes) Public() chi.Router { return s.by(auth.Public()) }

func (s scopes) User() chi.Router { return s.by(auth.AnyUser()) }

func (s scopes) Team(permission auth.Permission) chi.Router { return s.by(auth.InTeam(permission)) }

func (s scopes) Admin() chi.Router { return s.by(auth.ByAdmin()) }

func (s scopes) by(rule auth.Rule) chi.Router {
	return s.router.With(noting(rule), s.set.server.Admit(rule)).With(s.set.AfterAuth()...)
}

// Routes returns the routes of each extension by its name, to be mounted below Prefix.
func (s *Set) Routes() map[string]http.Handler {
	routes := map[string]http.Handler{}
	for _, i := range s.instances {
		if i.is(Running) {
			routes[i.name] = i.router
			continue
		}
		routes[i.name] = http.HandlerFunc(i.refuse)
	}
	return routes
}

// recoverPanics answers a request in which the extension panics. Nothing but the
// extension's own code must be behind it.
func (i *instance) recoverPanics(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			reason := recover()
			if reason == nil {
				return
			}
			if err, isError := reason.(error); isError && errors.Is(err, http.ErrAbortHandler) {
				panic(reason)
			}
			err := &panicError{reason, debug.Stack()}
			if answer, counts := w.(middleware.WrapResponseWriter); counts && answer.Status() != 0 {
				i.report(r.Context(), "answer "+r.Method+" "+r.URL.Path, err)
				panic(http.ErrAbortHandler) // or half an answer would look complete
			}
			i.note("answer "+r.Method+" "+r.URL.Path, err)
			i.fail(w, r, fmt.Errorf("extension %s: %w", i.name, err))
		}()
		next.ServeHTTP(w, r)
	})
}
