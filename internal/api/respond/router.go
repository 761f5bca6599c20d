package respond

import (
	"net/http"

	"github.com/go-chi/chi/v5"
)

// Handler answers a request or returns an error.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Router registers handlers and answers the errors that they return.
type Router struct {
	Mux  chi.Router
	Fail func(w http.ResponseWriter, r *http.Request, err error)
}

// Get registers a handler of GET requests.
func (r Router) Get(pattern string, handler Handler) { r.Mux.Get(pattern, r.handle(handler)) }

// Post registers a handler of POST requests.
func (r Router) Post(pattern string, handler Handler) { r.Mux.Post(pattern, r.handle(handler)) }

// Put registers a handler of PUT requests.
func (r Router) Put(pattern string, handler Handler) { r.Mux.Put(pattern, r.handle(handler)) }

// Patch registers a handler of PATCH requests.
func (r Router) Patch(pattern string, handler Handler) { r.Mux.Patch(pattern, r.handle(handler)) }

// Delete registers a handler of DELETE requests.
func (r Router) Delete(pattern string, handler Handler) { r.Mux.Delete(pattern, r.handle(handler)) }

func (r Router) handle(handler Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, request *http.Request) {
		if err := handler(w, request); err != nil {
			r.Fail(w, request, err)
		}
	}
}
