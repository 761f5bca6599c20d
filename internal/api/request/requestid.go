package request

import (
	"net/http"

	"git.omukk.dev/wrenn/sandbox/pkg/requestlog"
)

// Identify is a middleware that gives a request its ID, the client's if it has sent a
// valid one, and sets it in the answer.
func Identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(requestlog.Header)
		if !requestlog.IsID(id) {
			id = requestlog.NewID()
		}
		w.Header().Set(requestlog.Header, id)
		next.ServeHTTP(w, r.WithContext(requestlog.Begin(r.Context(), id)))
	})
}
