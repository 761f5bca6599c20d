// Package request reads requests of the control API: bodies, parameters, their ID and
// the IDs of sandboxes.
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

// MaxBodyBytes is more than any sensible request of the control API has.
const MaxBodyBytes = 1 << 20

// defaultBodyTime is how long a client may take for a body of that size.
const defaultBodyTime = 30 * time.Second

// LimitBody bounds bodies in size and in the time that they take; zero is half a
// minute.
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

// RefuseUnstorable refuses addresses with text that no database can hold.
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

// Decode reads a JSON object. No body at all is an empty one. A field that is not
// known is refused on our own routes, and on E2B's left out (see unknownFields).
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
