package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

const (
	// maxBodyBytes is more than any sensible request of the control API has.
	maxBodyBytes = 1 << 20
	// maxBodyDepth is how deep arrays and objects may be in each other.
	maxBodyDepth = 32
)

func limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBodyBytes)
		next.ServeHTTP(w, r)
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

// checkShape refuses what the decoder would let pass: fields that come twice,
// depth without end, and more after the object.
func checkShape(body []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	var seen []map[string]bool // the fields of each object around; nil for an array
	atKey := false
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) && len(seen) == 0 {
			return nil
		}
		if err != nil {
			return decodeFault(err)
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			if len(seen) == maxBodyDepth {
				return fault.New(fault.Invalid, "the body is nested deeper than %d levels", maxBodyDepth)
			}
			if seen = append(seen, nil); token == json.Delim('{') {
				seen[len(seen)-1] = map[string]bool{}
			}
		case json.Delim('}'), json.Delim(']'):
			if seen = seen[:len(seen)-1]; len(seen) == 0 && decoder.More() {
				return fault.New(fault.Invalid, "the body has more after its JSON object")
			}
		default:
			if name, isText := token.(string); isText && atKey {
				if seen[len(seen)-1][name] {
					return fault.New(fault.Invalid, "%s: the field comes twice", shortened(name))
				}
				seen[len(seen)-1][name] = true
				atKey = false
				continue
			}
		}
		atKey = len(seen) > 0 && seen[len(seen)-1] != nil
	}
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
