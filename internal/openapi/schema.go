package openapi

import (
	"fmt"
	"slices"
	"strings"
)

// Schema is a JSON Schema, with the keywords that the document uses.
type Schema struct {
	Ref         string           `yaml:"$ref"`
	Type        any              `yaml:"type"` // a name, or several
	Format      string           `yaml:"format"`
	Description string           `yaml:"description"`
	Enum        []string         `yaml:"enum"`
	Minimum     *int64           `yaml:"minimum"`
	Maximum     *int64           `yaml:"maximum"`
	MaxLength   *int64           `yaml:"maxLength"`
	MaxItems    *int64           `yaml:"maxItems"`
	Pattern     string           `yaml:"pattern"`
	Default     any              `yaml:"default"`
	Items       *Schema          `yaml:"items"`
	Properties  ordered[*Schema] `yaml:"properties"`
	Required    []string         `yaml:"required"`
	Additional  any              `yaml:"additionalProperties"`
	OneOf       []*Schema        `yaml:"oneOf"`
}

// follow returns what a schema refers to, or the schema itself. Keywords beside the
// reference take precedence.
func (d *Document) follow(schema *Schema) *Schema {
	if schema == nil || schema.Ref == "" {
		return schema
	}
	named, there := d.components.Schemas[lastPart(schema.Ref)]
	if !there {
		return &Schema{Description: "unknown " + schema.Ref}
	}
	meant := *d.follow(named)
	if schema.Description != "" {
		meant.Description = schema.Description
	}
	if schema.Default != nil {
		meant.Default = schema.Default
	}
	return &meant
}

// types are the names of a schema's types.
func (s *Schema) types() []string {
	switch given := s.Type.(type) {
	case string:
		return []string{given}
	case []any:
		var names []string
		for _, name := range given {
			names = append(names, fmt.Sprint(name))
		}
		return names
	default:
		return nil
	}
}

func (s *Schema) is(name string) bool { return slices.Contains(s.types(), name) }

// kind returns the type of a value in a few words.
func (d *Document) kind(schema *Schema) string {
	schema = d.follow(schema)
	if len(schema.OneOf) > 0 {
		var choices []string
		for _, choice := range schema.OneOf {
			choices = append(choices, d.kind(choice))
		}
		return strings.Join(slices.Compact(choices), " or ")
	}
	words := schema.types()
	switch {
	case schema.is("array"):
		words = []string{"list of " + d.kind(schema.Items)}
	case schema.is("object") && schema.Additional != nil && schema.Additional != true:
		words = []string{"map"}
	case schema.Format == "date-time":
		words[0] = "time"
	case schema.Format == "uuid":
		words[0] = "UUID"
	}
	return strings.Join(words, " or ")
}

// bounds returns which values are possible.
func (d *Document) bounds(schema *Schema) string {
	schema = d.follow(schema)
	var parts []string
	switch {
	case schema.Minimum != nil && schema.Maximum != nil:
		parts = append(parts, fmt.Sprintf("%d to %d", *schema.Minimum, *schema.Maximum))
	case schema.Minimum != nil:
		parts = append(parts, fmt.Sprintf("from %d", *schema.Minimum))
	}
	if schema.MaxLength != nil {
		parts = append(parts, fmt.Sprintf("up to %d characters", *schema.MaxLength))
	}
	if schema.MaxItems != nil {
		parts = append(parts, fmt.Sprintf("up to %d", *schema.MaxItems))
	}
	if schema.Pattern != "" {
		parts = append(parts, "`"+schema.Pattern+"`")
	}
	if schema.Default != nil {
		parts = append(parts, fmt.Sprintf("`%v` where left out", schema.Default))
	}
	return strings.Join(parts, ", ")
}

// choices are the values that are possible, of a list those of its items.
func (d *Document) choices(schema *Schema) []string {
	schema = d.follow(schema)
	if schema.Items != nil {
		return d.choices(schema.Items)
	}
	return schema.Enum
}

// inner is the object in a value whose fields are listed: the value itself, or the items
// of a list or map.
func (d *Document) inner(schema *Schema) *Schema {
	schema = d.follow(schema)
	switch {
	case schema == nil:
		return nil
	case len(schema.Properties) > 0:
		return schema
	case schema.Items != nil:
		return d.inner(schema.Items)
	case len(schema.OneOf) > 0:
		return d.inner(schema.OneOf[0])
	default:
		return nil
	}
}
