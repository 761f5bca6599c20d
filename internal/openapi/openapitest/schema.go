package openapitest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"git.omukk.dev/wrenn/sandbox/internal/openapi"
)

// address is what the document is called among schemas.
const address = "wrenn:///openapi.json"

// schemas are those of the document, compiled when they are asked for.
type schemas struct {
	mutex    sync.Mutex
	compiler *jsonschema.Compiler
	document any
	compiled map[string]*jsonschema.Schema
}

func compileSchemas(document []byte) (*schemas, error) {
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		return nil, fmt.Errorf("read the API's document: %w", err)
	}
	closeObjects(parsed)
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource(address, parsed); err != nil {
		return nil, fmt.Errorf("read the API's document: %w", err)
	}
	return &schemas{compiler: compiler, document: parsed, compiled: map[string]*jsonschema.Schema{}}, nil
}

// closeObjects lets objects have no fields but those that are described. Clients
// should bear others, which may come with later versions; a test should not.
func closeObjects(value any) {
	switch value := value.(type) {
	case map[string]any:
		_, hasProperties := value["properties"].(map[string]any)
		if _, open := value["additionalProperties"]; hasProperties && !open {
			value["additionalProperties"] = false
		}
		for _, inner := range value {
			closeObjects(inner)
		}
	case []any:
		for _, inner := range value {
			closeObjects(inner)
		}
	}
}

// pointer is the place of something in the document.
func pointer(keys ...string) string {
	var place strings.Builder
	for _, key := range keys {
		place.WriteString("/" + strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1"))
	}
	return place.String()
}

// answer is the place of the schema of an operation's answer in JSON.
func (s *schemas) answer(operation *openapi.Operation, status string) string {
	place := pointer("paths", operation.Path, strings.ToLower(operation.Method), "responses", status)
	return s.follow(place) + pointer("content", "application/json", "schema")
}

// follow returns the place that a place refers to, or itself.
func (s *schemas) follow(place string) string {
	value := s.document
	for key := range strings.SplitSeq(place[1:], "/") {
		key = strings.ReplaceAll(strings.ReplaceAll(key, "~1", "/"), "~0", "~")
		switch inner := value.(type) {
		case map[string]any:
			value = inner[key]
		case []any:
			var index int
			_, _ = fmt.Sscan(key, &index)
			value = inner[index]
		}
	}
	if object, isObject := value.(map[string]any); isObject {
		if reference, refers := object["$ref"].(string); refers {
			return strings.TrimPrefix(reference, "#")
		}
	}
	return place
}

func (s *schemas) at(place string) (*jsonschema.Schema, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if known := s.compiled[place]; known != nil {
		return known, nil
	}
	schema, err := s.compiler.Compile(address + "#" + strings.NewReplacer("{", "%7B", "}", "%7D").Replace(place))
	if err != nil {
		return nil, fmt.Errorf("the document's schema at %s: %w", place, err)
	}
	s.compiled[place] = schema
	return schema, nil
}

// check says what of a JSON text is not as a schema wants it.
func (s *schemas) check(place string, text []byte) []string {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return []string{fmt.Sprintf("it is not JSON: %v", err)}
	}
	return s.checkValue(place, value)
}

// checkRequest checks what was sent, where a field that is null is as if it were
// left out.
func (s *schemas) checkRequest(place string, text []byte) []string {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return []string{fmt.Sprintf("it was sent what is not JSON: %v", err)}
	}
	dropNulls(value)
	return s.checkValue(place, value)
}

func dropNulls(value any) {
	switch value := value.(type) {
	case map[string]any:
		for name, inner := range value {
			if inner == nil {
				delete(value, name)
			} else {
				dropNulls(inner)
			}
		}
	case []any:
		for _, inner := range value {
			dropNulls(inner)
		}
	}
}

func (s *schemas) checkValue(place string, value any) []string {
	schema, err := s.at(place)
	if err != nil {
		return []string{err.Error()}
	}
	if err := schema.Validate(value); err != nil {
		return []string{err.Error()}
	}
	return nil
}

// checkText checks the value of a parameter in a query: text, or whatever it reads
// as.
func (s *schemas) checkText(operation *openapi.Operation, at int, text string) []string {
	place := s.follow(pointer("paths", operation.Path, strings.ToLower(operation.Method), "parameters", fmt.Sprint(at))) + "/schema"
	asText := s.checkValue(place, text)
	if len(asText) == 0 {
		return nil
	}
	var list []any
	for item := range strings.SplitSeq(text, ",") {
		list = append(list, item)
	}
	if len(s.checkValue(place, list)) == 0 {
		return nil
	}
	var value any
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if decoder.Decode(&value) == nil && len(s.checkValue(place, value)) == 0 {
		return nil
	}
	return asText
}
