// Package request reads requests of the control API: their IDs, parameters and bodies.
package request

import (
	"cmp"
	"net/http"
	"net/url"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/httpserver"
	"git.omukk.dev/wrenn/sandbox/pkg/exactjson"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// MaxBodyBytes is the largest body of a request.
const MaxBodyBytes = 1 << 20

// defaultBodyTime is the default of LimitBody.
const defaultBodyTime = 30 * time.Second

// LimitBody returns a middleware that bounds the size of bodies, and the time in which
// they must arrive; zero is 30 seconds.
func LimitBody(within time.Duration) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, MaxBodyBytes)
			httpserver.EndBodyWithin(r.Context(), cmp.Or(within, defaultBodyTime))
			next.ServeHTTP(w, r)
		})
	}
}

// Fail answers an error.
type Fail func(w http.ResponseWriter, r *http.Request, err error)

// RefuseUnstorable returns a middleware that refuses paths and queries with text that
// the database cannot store.
func RefuseUnstorable(fail Fail) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			query, err := url.QueryUnescape(r.URL.RawQuery)
			switch {
			case !exactjson.Storable(r.URL.Path):
				fail(w, r, fault.New(fault.Invalid, "the path must be UTF-8 without a zero byte"))
			case err != nil:
				fail(w, r, fault.New(fault.Invalid, "the query is not well escaped"))
			case !exactjson.Storable(query):
				fail(w, r, fault.New(fault.Invalid, "the query must be UTF-8 without a zero byte"))
			default:
				next.ServeHTTP(w, r)
			}
		})
	}
}

// Decode reads the body, a JSON object, into a struct. An empty body is an empty object.
// A field that the struct does not have is ignored on routes with Tolerance, and
// otherwise refused.
func Decode(r *http.Request, into any) error {
	body, err := exactjson.ReadAll(r.Body)
	if err != nil {
		return err
	}
	tolerant, ok := r.Context().Value(unknownFieldsKey{}).(*unknownFields)
	if !ok {
		return exactjson.DecodeKnown(body, into)
	}
	unknown, err := exactjson.Decode(body, into)
	if err == nil && len(unknown) > 0 {
		tolerant.note(unknown)
	}
	return err
}
