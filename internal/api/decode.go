package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

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

// decode reads a JSON object. Fields that are not known are let pass, because
// clients learn new ones before servers do; no body at all is an empty object.
func decode(r *http.Request, into any) error {
	decoder := json.NewDecoder(r.Body)
	err := decoder.Decode(into)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil {
		if err = decoder.Decode(new(json.RawMessage)); errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			return fault.New(fault.Invalid, "the body has more than one JSON document")
		}
	}
	return decodeFault(err)
}

func decodeFault(err error) error {
	var tooLarge *http.MaxBytesError
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.As(err, &tooLarge):
		return fault.New(fault.TooLarge, "the body has more than %d bytes", tooLarge.Limit)
	case errors.As(err, &wrongType) && wrongType.Field != "":
		return fault.New(fault.Invalid, "%s must not be a JSON %s", wrongType.Field, wrongType.Value)
	case errors.As(err, &wrongType):
		return fault.New(fault.Invalid, "the body must be a JSON object")
	default:
		return fault.Wrap(fault.Invalid, err, "the body is not valid JSON")
	}
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
