// Package exactjson decodes untrusted JSON objects more strictly than encoding/json:
// names of fields are case-sensitive, a field must not be repeated, depth is bounded, and
// all text can be stored in the database.
package exactjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// Decode reads a JSON object into a struct. It returns the paths of fields that the struct
// does not have, such as "network.colour", and ignores their values. An empty body is an
// empty object. Errors are faults that can be shown.
func Decode(body []byte, into any) (unknown []string, err error) {
	if body = bytes.TrimSpace(body); len(body) == 0 {
		return nil, nil
	}
	if body[0] != '{' && json.Valid(body) {
		return nil, fault.New(fault.Invalid, "the body must be a JSON object")
	}
	known, unknown, err := check(body, into)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(known, into); err != nil {
		return nil, syntaxFault(err)
	}
	return unknown, nil
}

// DecodeKnown is Decode that refuses fields that the struct does not have: they may be
// misspelt.
func DecodeKnown(body []byte, into any) error {
	unknown, err := Decode(body, into)
	if err == nil && len(unknown) > 0 {
		err = fault.New(fault.Invalid, "%s: there is no such field here", Shortened(unknown[0]))
	}
	return err
}

// ReadAll reads a body. Errors are faults that can be shown, fault.TooLarge for one
// that an http.MaxBytesReader bounds.
func ReadAll(body io.Reader) ([]byte, error) {
	content, err := io.ReadAll(body)
	if err == nil {
		return content, nil
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, fault.New(fault.TooLarge, "the body has more than %d bytes", tooLarge.Limit)
	}
	return nil, fault.Wrap(fault.Invalid, err, "the body could not be read")
}

func syntaxFault(err error) error {
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrongType) && wrongType.Field != "":
		return fault.New(fault.Invalid, "%s must not be a JSON %s", wrongType.Field, wrongType.Value)
	case errors.As(err, &wrongType):
		return fault.New(fault.Invalid, "the body must be a JSON object")
	default:
		return fault.Wrap(fault.Invalid, err, "the body is not valid JSON")
	}
}

// Shortened bounds a client's text for a message.
func Shortened(name string) string {
	const longest = 100
	if len(name) <= longest {
		return name
	}
	return strings.ToValidUTF8(name[:longest], "") + "…"
}
