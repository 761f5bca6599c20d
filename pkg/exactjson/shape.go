package exactjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"unicode/utf8"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

const (
	// maxDepth bounds the nesting of arrays and objects.
	maxDepth = 32
	// maxUnknown is how many unknown fields are reported.
	maxUnknown = 20
)

// shape walks a body and the type that it is decoded into in parallel. It finds what
// encoding/json accepts: fields with other names than the type's, repeated fields, deep
// nesting, text that the database cannot store, and data after the object.
type shape struct {
	body   []byte
	around []container
	atKey  bool
	field  string       // of the next value
	kind   reflect.Type // of the next value; nil where any is accepted
	// before is the end of the previous token.
	before  int64
	unknown []string
	renamed bool
}

// container is an object or array around the next value.
type container struct {
	seen map[string]bool // the names of an object's fields so far; nil for an array
	kind reflect.Type
	path string
}

// check returns the body with unknown fields renamed, and their paths.
func check(body []byte, into any) (known []byte, unknown []string, err error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	s := shape{body: body, kind: reflect.TypeOf(into)}
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) && len(s.around) == 0 {
			return s.body, s.unknown, nil
		}
		if err != nil {
			return nil, nil, syntaxFault(err)
		}
		if err := s.take(token, decoder.InputOffset()); err != nil {
			return nil, nil, err
		}
		s.before = decoder.InputOffset()
		if len(s.around) == 0 && decoder.More() {
			return nil, nil, fault.New(fault.Invalid, "the body has more after its JSON object")
		}
	}
}

// take advances by a token, which ends at end.
func (s *shape) take(token json.Token, end int64) error {
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
		return s.key(text, end)
	}
	if isText && !Storable(text) {
		return fault.New(fault.Invalid, "%s must not contain a zero byte", Shortened(s.path()))
	}
	s.valueEnded()
	return nil
}

func (s *shape) enter(seen map[string]bool) error {
	if len(s.around) == maxDepth {
		return fault.New(fault.Invalid, "the body is nested deeper than %d levels", maxDepth)
	}
	entered := container{seen: seen, kind: structure(s.kind), path: s.path()}
	s.around = append(s.around, entered)
	s.atKey = seen != nil
	s.kind = s.inner()
	return nil
}

func (s *shape) key(name string, end int64) error {
	in := s.around[len(s.around)-1]
	switch {
	case !Storable(name):
		return fault.New(fault.Invalid, "the name of a field must not contain a zero byte")
	case in.seen[name]:
		return fault.New(fault.Invalid, "%s: the field comes twice", Shortened(name))
	}
	in.seen[name] = true
	s.field, s.atKey = name, false
	s.kind = s.inner()
	if in.kind == nil || in.kind.Kind() != reflect.Struct {
		return nil
	}
	kind, known := fieldsOf(in.kind)[name]
	s.kind = kind
	if !known {
		s.leaveOut(end)
	}
	return nil
}

// leaveOut renames a field so that encoding/json ignores it.
func (s *shape) leaveOut(end int64) {
	if len(s.unknown) < maxUnknown {
		s.unknown = append(s.unknown, s.path())
	}
	if !s.renamed {
		s.body, s.renamed = bytes.Clone(s.body), true
	}
	begin := s.before + int64(bytes.IndexByte(s.body[s.before:end], '"')) + 1
	for i := begin; i < end-1; i++ {
		s.body[i] = '?'
	}
}

func (s *shape) valueEnded() {
	s.atKey, s.kind = false, nil
	if len(s.around) > 0 {
		s.atKey = s.around[len(s.around)-1].seen != nil
		s.kind = s.inner()
	}
}

// inner is the type of the innermost container's elements.
func (s *shape) inner() reflect.Type {
	kind := s.around[len(s.around)-1].kind
	if kind == nil || kind.Kind() == reflect.Struct {
		return nil
	}
	return kind.Elem()
}

// path is the path of the next value. An element of an array has the array's.
func (s *shape) path() string {
	if len(s.around) == 0 {
		return ""
	}
	in := s.around[len(s.around)-1]
	switch {
	case in.seen == nil:
		return in.path
	case in.path == "":
		return s.field
	default:
		return in.path + "." + s.field
	}
}

// Storable says whether the database can store a text.
func Storable(text string) bool { return utf8.ValidString(text) && !strings.ContainsRune(text, 0) }
