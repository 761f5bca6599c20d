package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// maxBodyBytes is more than any sensible request of the control API has.
const maxBodyBytes = 1 << 20

func limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBodyBytes)
		next.ServeHTTP(w, r)
	})
}

// refuseUnstorable refuses addresses with text that no database can hold.
func (s *Server) refuseUnstorable(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query, err := url.QueryUnescape(r.URL.RawQuery)
		switch {
		case !storable(r.URL.Path):
			s.fail(w, r, fault.New(fault.Invalid, "the path must be UTF-8 without a zero byte"))
		case err != nil:
			s.fail(w, r, fault.New(fault.Invalid, "the query is not well escaped"))
		case !storable(query):
			s.fail(w, r, fault.New(fault.Invalid, "the query must be UTF-8 without a zero byte"))
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// decode reads a JSON object. A field that is not known is refused, because a
// client that misspells one would never learn that it had no effect. No body at
// all is an empty object.
func decode(r *http.Request, into any) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return decodeFault(err)
	}
	if body = bytes.TrimSpace(body); len(body) == 0 {
		return nil
	}
	if body[0] != '{' && json.Valid(body) {
		return fault.New(fault.Invalid, "the body must be a JSON object")
	}
	if err := checkShape(body); err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return decodeFault(err)
	}
	return nil
}

func decodeFault(err error) error {
	var tooLarge *http.MaxBytesError
	var wrongType *json.UnmarshalTypeError
	const unknownField = "json: unknown field "
	switch {
	case errors.As(err, &tooLarge):
		return fault.New(fault.TooLarge, "the body has more than %d bytes", tooLarge.Limit)
	case errors.As(err, &wrongType) && wrongType.Field != "":
		return fault.New(fault.Invalid, "%s must not be a JSON %s", wrongType.Field, wrongType.Value)
	case errors.As(err, &wrongType):
		return fault.New(fault.Invalid, "the body must be a JSON object")
	case strings.HasPrefix(err.Error(), unknownField): // there is no type for it
		name := strings.Trim(strings.TrimPrefix(err.Error(), unknownField), `"`)
		return fault.New(fault.Invalid, "%s: there is no such field here", shortened(name))
	default:
		return fault.Wrap(fault.Invalid, err, "the body is not valid JSON")
	}
}

// shortened keeps a message small whatever a client calls its fields.
func shortened(name string) string {
	const longest = 100
	if len(name) <= longest {
		return name
	}
	return strings.ToValidUTF8(name[:longest], "") + "…"
}

// isSet says whether a field that is not looked into asks for anything.
func isSet(raw json.RawMessage) bool {
	switch string(raw) {
	case "", "null", "{}", "[]", "false":
		return false
	default:
		return true
	}
}
