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

// structure is the struct, map or list that a type is or points to. It is nil for types
// that unmarshal themselves, for any and for plain values.
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

// known caches fieldsOf, by reflect.Type.
var known sync.Map

// fieldsOf returns the types of a struct's fields by their names in JSON, those of embedded
// structs included.
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
