package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"

	"connectrpc.com/connect"
)

// watches can end the streams of file events: their clients have to begin
// again after a pause, and are told so rather than left waiting.
type watches struct {
	mutex   sync.Mutex
	cancels map[*http.Request]context.CancelCauseFunc
}

var errPausing = connect.NewError(connect.CodeUnavailable, errors.New("the sandbox is being paused: watch again when it runs"))

const watchMethod = "/WatchDir"

// endable serves as handler does, with streams that end can end.
func (w *watches) endable(path string, handler http.Handler) (string, http.Handler) {
	return path, http.HandlerFunc(func(response http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, watchMethod) {
			handler.ServeHTTP(response, r)
			return
		}
		ctx, cancel := context.WithCancelCause(r.Context())
		defer cancel(nil)
		w.add(r, cancel)
		defer w.remove(r)
		handler.ServeHTTP(response, r.WithContext(ctx))
	})
}

func (w *watches) end() {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	for _, cancel := range w.cancels {
		cancel(errPausing)
	}
}

func (w *watches) add(r *http.Request, cancel context.CancelCauseFunc) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.cancels == nil {
		w.cancels = make(map[*http.Request]context.CancelCauseFunc)
	}
	w.cancels[r] = cancel
}

func (w *watches) remove(r *http.Request) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	delete(w.cancels, r)
}
