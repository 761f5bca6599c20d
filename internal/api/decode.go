package api

import (
	"cmp"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/httpserver"
	"git.omukk.dev/wrenn/sandbox/pkg/exactjson"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// maxBodyBytes is more than any sensible request of the control API has.
const maxBodyBytes = 1 << 20

// defaultBodyTime is how long a client may take for a body of that size.
const defaultBodyTime = 30 * time.Second

func (s *Server) limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBodyBytes)
		httpserver.EndBodyWithin(r.Context(), cmp.Or(s.BodyTime, defaultBodyTime))
		next.ServeHTTP(w, r)
	})
}

// refuseUnstorable refuses addresses with text that no database can hold.
func (s *Server) refuseUnstorable(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query, err := url.QueryUnescape(r.URL.RawQuery)
		switch {
		case !exactjson.Storable(r.URL.Path):
			s.fail(w, r, fault.New(fault.Invalid, "the path must be UTF-8 without a zero byte"))
		case err != nil:
			s.fail(w, r, fault.New(fault.Invalid, "the query is not well escaped"))
		case !exactjson.Storable(query):
			s.fail(w, r, fault.New(fault.Invalid, "the query must be UTF-8 without a zero byte"))
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// decode reads a JSON object. No body at all is an empty one. A field that is not
// known is refused on our own routes, and on E2B's left out (see unknownFields).
func decode(r *http.Request, into any) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return fault.New(fault.TooLarge, "the body has more than %d bytes", tooLarge.Limit)
		}
		return fault.Wrap(fault.Invalid, err, "the body could not be read")
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
