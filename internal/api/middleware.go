package api

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"git.omukk.dev/wrenn/sandbox/pkg/requestlog"
)

func (s *Server) logRequests(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		wrapped := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		next.ServeHTTP(wrapped, r)
		s.Log.DebugContext(r.Context(), "request answered",
			"method", r.Method, "path", r.URL.Path, "status", wrapped.Status(), "took", time.Since(began))
	})
}

// noteSandbox gives log lines the sandbox in the request's path. It must be a
// middleware of the routes themselves: before routing, the parameter is not known.
func noteSandbox(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requestlog.SetSandbox(r.Context(), chi.URLParam(r, "sandboxID"))
		next.ServeHTTP(w, r)
	})
}

// recoverPanics answers a request whose handler panics with status 500.
func (s *Server) recoverPanics(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			reason := recover()
			if reason == nil {
				return
			}
			if err, isError := reason.(error); isError && errors.Is(err, http.ErrAbortHandler) {
				panic(reason)
			}
			s.Fail(w, r, fmt.Errorf("panic: %v\n%s", reason, debug.Stack()))
		}()
		next.ServeHTTP(w, r)
	})
}
