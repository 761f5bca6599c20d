package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// maxBodyDepth is how deep arrays and objects may be in each other.
const maxBodyDepth = 32

// shape walks through a body for what the decoder would let pass: fields that come
// twice, depth without end, text that no database can hold, and more after the
// object.
type shape struct {
	around []map[string]bool // the fields of each object around; nil for an array
	atKey  bool
	field  string // the one whose value comes
}

func checkShape(body []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	var s shape
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) && len(s.around) == 0 {
			return nil
		}
		if err != nil {
			return decodeFault(err)
		}
		if err := s.take(token); err != nil {
			return err
		}
		if len(s.around) == 0 && decoder.More() {
			return fault.New(fault.Invalid, "the body has more after its JSON object")
		}
	}
}

func (s *shape) take(token json.Token) error {
	switch token {
	case json.Delim('{'):
		return s.enter(map[string]bool{})
	case json.Delim('['):
		return s.enter(nil)
	case json.Delim('}'), json.Delim(']'):
		s.around = s.around[:len(s.around)-1]
		s.valueEnded()
		return nil
	}
	text, isText := token.(string)
	if isText && s.atKey {
		return s.key(text)
	}
	if isText && !storable(text) {
		return fault.New(fault.Invalid, "%s must not contain a zero byte", shortened(s.field))
	}
	s.valueEnded()
	return nil
}

func (s *shape) enter(fields map[string]bool) error {
	if len(s.around) == maxBodyDepth {
		return fault.New(fault.Invalid, "the body is nested deeper than %d levels", maxBodyDepth)
	}
	s.around = append(s.around, fields)
	s.atKey = fields != nil
	return nil
}

func (s *shape) key(name string) error {
	fields := s.around[len(s.around)-1]
	switch {
	case !storable(name):
		return fault.New(fault.Invalid, "the name of a field must not contain a zero byte")
	case fields[name]:
		return fault.New(fault.Invalid, "%s: the field comes twice", shortened(name))
	}
	fields[name] = true
	s.field, s.atKey = name, false
	return nil
}

func (s *shape) valueEnded() {
	s.atKey = len(s.around) > 0 && s.around[len(s.around)-1] != nil
}

// storable says whether the database can hold a text.
func storable(text string) bool { return utf8.ValidString(text) && !strings.ContainsRune(text, 0) }
