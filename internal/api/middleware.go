package api

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
)

func (s *Server) logRequests(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		wrapped := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		next.ServeHTTP(wrapped, r)
		s.Log.Debug("request", "method", r.Method, "path", r.URL.Path, "sandbox", chi.URLParam(r, "sandboxID"),
			"status", wrapped.Status(), "took", time.Since(began))
	})
}

// recoverPanics answers a fault of ours like any other and keeps the server up.
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
			s.fail(w, r, fmt.Errorf("panic: %v\n%s", reason, debug.Stack()))
		}()
		next.ServeHTTP(w, r)
	})
}
