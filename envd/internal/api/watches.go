package api

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"connectrpc.com/connect"

	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/smap"
)

// watches are the streams of file events that are open, and what ends each. They end
// before a snapshot: nobody reads them after the restore.
type watches struct {
	open smap.Map[*http.Request, context.CancelCauseFunc]
}

var errPausing = connect.NewError(connect.CodeUnavailable, errors.New("the sandbox is being paused: watch again when it runs"))

const watchMethod = "/WatchDir"

// endable wraps a handler so that end cancels its streams.
func (w *watches) endable(path string, handler http.Handler) (string, http.Handler) {
	return path, http.HandlerFunc(func(response http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, watchMethod) {
			handler.ServeHTTP(response, r)
			return
		}
		ctx, cancel := context.WithCancelCause(r.Context())
		defer cancel(nil)
		w.open.Store(r, cancel)
		defer w.open.Delete(r)
		handler.ServeHTTP(response, r.WithContext(ctx))
	})
}

func (w *watches) end() {
	for _, cancel := range w.open.Values() {
		cancel(errPausing)
	}
}
