package exactjson

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
	"sync"
)

var (
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// structure is the struct, map or list behind a type that encoding/json reads by
// its structure, and nil for what reads itself, for any, and for plain values.
func structure(kind reflect.Type) reflect.Type {
	for kind != nil {
		if pointer := reflect.PointerTo(kind); pointer.Implements(jsonUnmarshaler) || pointer.Implements(textUnmarshaler) {
			return nil
		}
		switch kind.Kind() {
		case reflect.Pointer:
			kind = kind.Elem()
		case reflect.Struct, reflect.Map, reflect.Slice, reflect.Array:
			return kind
		default:
			return nil
		}
	}
	return nil
}

// known holds the fields of the structs that were met, by reflect.Type.
var known sync.Map

// fieldsOf is the type of each field of a struct, by its name in JSON. Those of
// embedded structs are among them.
func fieldsOf(kind reflect.Type) map[string]reflect.Type {
	if fields, found := known.Load(kind); found {
		return fields.(map[string]reflect.Type)
	}
	fields := map[string]reflect.Type{}
	for _, field := range reflect.VisibleFields(kind) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.Tag.Get("json") == "-" || !field.IsExported() || field.Anonymous && name == "" {
			continue
		}
		if name == "" {
			name = field.Name
		}
		fields[name] = field.Type
	}
	known.Store(kind, fields)
	return fields
}
