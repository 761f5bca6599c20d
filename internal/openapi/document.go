// Package openapi has the OpenAPI 3.1 document of the control API, which is written in
// parts, and renders it as HTML pages.
package openapi

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

//go:embed document
var parts embed.FS

// Document is the whole description.
type Document struct {
	// YAML and JSON are the document as it is served.
	YAML, JSON []byte
	// Title and Description are about the API as a whole.
	Title, Description string
	// Sections are in the order in which they are to be read.
	Sections []Section

	components components
}

// Load assembles the document, once. It fails only if a part is malformed, which a test
// finds.
var Load = sync.OnceValues(load)

func load() (*Document, error) {
	whole, err := assemble()
	if err != nil {
		return nil, err
	}
	return read(whole)
}

// assemble merges the parts.
func assemble() (*yaml.Node, error) {
	whole := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for _, pattern := range []string{"openapi.yaml", "paths/*.yaml", "components.yaml", "schemas/*.yaml"} {
		paths, err := fs.Glob(parts, "document/"+pattern)
		if err != nil {
			return nil, fmt.Errorf("find the parts of the API's document: %w", err)
		}
		for _, path := range paths {
			if err := add(whole, path); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
		}
	}
	return whole, nil
}

// add merges one file into the whole.
func add(whole *yaml.Node, path string) error {
	content, err := parts.ReadFile(path)
	if err != nil {
		return err
	}
	var part yaml.Node
	if err := yaml.Unmarshal(content, &part); err != nil {
		return err
	}
	return merge(whole, part.Content[0])
}

// merge adds the keys of one mapping to another. What both have must be mappings,
// too, down to what only one has.
func merge(into, from *yaml.Node) error {
	if into.Kind != yaml.MappingNode || from.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: another part says this, too", from.Line)
	}
	for i := 0; i < len(from.Content); i += 2 {
		key, value := from.Content[i], from.Content[i+1]
		there := valueOf(into, key.Value)
		if there == nil {
			key.HeadComment = "" // about the part, not about the whole
			into.Content = append(into.Content, key, value)
		} else if err := merge(there, value); err != nil {
			return fmt.Errorf("%s: %w", key.Value, err)
		}
	}
	return nil
}

// valueOf finds the value of a key in a mapping; nil if there is none.
func valueOf(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	return nil
}

func read(whole *yaml.Node) (*Document, error) {
	var value any
	var described description
	if err := whole.Decode(&value); err != nil {
		return nil, fmt.Errorf("read the API's document: %w", err)
	}
	if err := whole.Decode(&described); err != nil {
		return nil, fmt.Errorf("read the API's document: %w", err)
	}
	document := &Document{Title: described.Info.Title, Description: described.Info.Description, components: described.Components}
	var err error
	if document.JSON, err = json.MarshalIndent(value, "", "  "); err != nil {
		return nil, fmt.Errorf("write the API's document as JSON: %w", err)
	}
	text := new(strings.Builder)
	encoder := yaml.NewEncoder(text)
	encoder.SetIndent(2)
	if err := encoder.Encode(whole); err != nil {
		return nil, fmt.Errorf("write the API's document as YAML: %w", err)
	}
	document.YAML = []byte(text.String())
	document.Sections, err = described.sections()
	return document, err
}
