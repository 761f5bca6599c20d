package openapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/google/uuid"
	"go.yaml.in/yaml/v3"
)

// Group is operations that are added to the document as a section of their own.
type Group struct {
	Name, Description string
	Operations        []Added
}

// Added is an operation that is added to the document.
type Added struct {
	Method string
	// Path may have parameters as chi writes them: {id}, {id:[0-9]+} or a last *.
	Path                 string
	Summary, Description string
	// Security lists the credentials of which a request needs one.
	Security []map[string][]string
	// Permission is needed in the team; empty for none.
	Permission string
	// Request and Answer are values of the types of the bodies; nil is no body.
	Request, Answer any
	// Status is that of a success.
	Status int
}

// LoadWith assembles the document with more groups of operations.
func LoadWith(groups ...Group) (*Document, error) {
	if len(groups) == 0 {
		return Load()
	}
	whole, err := assemble()
	if err != nil {
		return nil, err
	}
	for _, group := range groups {
		part := new(yaml.Node)
		described, err := group.describe()
		if err == nil {
			err = part.Encode(map[string]any{"paths": described})
		}
		if err == nil {
			err = merge(whole, part)
		}
		if err != nil {
			return nil, fmt.Errorf("describe %s: %w", group.Name, err)
		}
		tag := new(yaml.Node)
		if err := tag.Encode(map[string]string{"name": group.Name, "description": group.Description}); err != nil {
			return nil, err
		}
		tags := valueOf(whole, "tags")
		tags.Content = append(tags.Content, tag)
	}
	return read(whole)
}

// describe returns the paths of a group.
func (g Group) describe() (map[string]map[string]any, error) {
	paths := map[string]map[string]any{}
	for _, operation := range g.Operations {
		path, parameters := plainPath(operation.Path)
		described, err := operation.describe(g.Name, path, parameters)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", operation.Method, operation.Path, err)
		}
		if paths[path] == nil {
			paths[path] = map[string]any{}
		}
		paths[path][strings.ToLower(operation.Method)] = described
	}
	return paths, nil
}

var (
	pathParameter = regexp.MustCompile(`{([^}:]+)(?::[^}]*)?}`)
	notInID       = regexp.MustCompile(`[^A-Za-z0-9]+`)
)

// plainPath turns a pattern of chi's into a path of OpenAPI's, with its parameters.
func plainPath(pattern string) (path string, parameters []map[string]any) {
	path = pathParameter.ReplaceAllString(pattern, "{$1}")
	if rest, found := strings.CutSuffix(path, "*"); found {
		path = rest + "{rest}"
	}
	for _, match := range pathParameter.FindAllStringSubmatch(path, -1) {
		parameters = append(parameters, map[string]any{
			"name": match[1], "in": "path", "required": true, "description": "The part of the path.", "schema": map[string]string{"type": "string"},
		})
	}
	return path, parameters
}

func (a Added) describe(tag, path string, parameters []map[string]any) (map[string]any, error) {
	success := map[string]any{"description": "Done."}
	described := map[string]any{
		"operationId": strings.Trim(notInID.ReplaceAllString(strings.ToLower(a.Method)+path, "_"), "_"),
		"tags":        []string{tag}, "summary": a.Summary, "security": a.Security,
		"responses": map[string]any{strconv.Itoa(a.Status): success, "default": refusalOfAny},
	}
	if a.Description != "" {
		described["description"] = a.Description
	}
	if a.Permission != "" {
		described["x-permission"] = a.Permission
	}
	if len(parameters) > 0 {
		described["parameters"] = parameters
	}
	if a.Answer != nil {
		content, err := contentOf(a.Answer)
		if err != nil {
			return nil, err
		}
		success["content"] = content
	}
	if a.Request != nil {
		content, err := contentOf(a.Request)
		if err != nil {
			return nil, err
		}
		described["requestBody"] = map[string]any{"required": true, "content": content}
	}
	return described, nil
}

// refusalOfAny is the answer of added operations that fail.
var refusalOfAny = map[string]any{
	"description": "A refusal.",
	"content":     map[string]any{"application/json": map[string]any{"schema": map[string]string{"$ref": "#/components/schemas/Error"}}},
}

// contentOf describes JSON of a Go type.
func contentOf(value any) (map[string]any, error) {
	schema, err := jsonschema.ForType(reflect.TypeOf(value), &jsonschema.ForOptions{TypeSchemas: map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[uuid.UUID](): {Type: "string", Format: "uuid"},
	}})
	if err != nil {
		return nil, fmt.Errorf("describe %T: %w", value, err)
	}
	leaveOpen(schema)
	encoded, err := json.Marshal(schema)
	if err != nil {
		return nil, fmt.Errorf("describe %T: %w", value, err)
	}
	var plain any
	if err := json.Unmarshal(encoded, &plain); err != nil {
		return nil, fmt.Errorf("describe %T: %w", value, err)
	}
	return map[string]any{"application/json": map[string]any{"schema": plain}}, nil
}

// leaveOpen allows objects to have other fields, as in the rest of the document.
func leaveOpen(schema *jsonschema.Schema) {
	if schema == nil {
		return
	}
	if len(schema.Properties) > 0 {
		schema.AdditionalProperties = nil
	}
	leaveOpen(schema.Items)
	leaveOpen(schema.AdditionalProperties)
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		leaveOpen(schema.Properties[name])
	}
}
