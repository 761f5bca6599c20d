package openapi

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// description is the part of the document that the pages show.
type description struct {
	Info struct {
		Title       string `yaml:"title"`
		Description string `yaml:"description"`
	} `yaml:"info"`
	Tags []struct {
		Name        string `yaml:"name"`
		Description string `yaml:"description"`
	} `yaml:"tags"`
	Paths      ordered[ordered[*Operation]] `yaml:"paths"`
	Components components                   `yaml:"components"`
}

type components struct {
	Schemas    map[string]*Schema   `yaml:"schemas"`
	Parameters map[string]Parameter `yaml:"parameters"`
	Responses  map[string]Response  `yaml:"responses"`
	Headers    map[string]Header    `yaml:"headers"`
}

// Section is the operations of one tag.
type Section struct {
	// Slug is the section's name in addresses.
	Slug, Name, Description string
	Operations              []*Operation
}

// Operation is one method of one path.
type Operation struct {
	Method, Path string `yaml:"-"`

	ID          string                `yaml:"operationId"`
	Tags        []string              `yaml:"tags"`
	Summary     string                `yaml:"summary"`
	Description string                `yaml:"description"`
	Permission  string                `yaml:"x-permission"` // needed in the team
	Security    []map[string][]string `yaml:"security"`     // alternatives
	Parameters  []Parameter           `yaml:"parameters"`
	RequestBody *Body                 `yaml:"requestBody"`
	Responses   ordered[Response]     `yaml:"responses"`
}

// Parameter is a value in an operation's path, query or headers.
type Parameter struct {
	Ref         string  `yaml:"$ref"`
	Name        string  `yaml:"name"`
	In          string  `yaml:"in"`
	Required    bool    `yaml:"required"`
	Description string  `yaml:"description"`
	Schema      *Schema `yaml:"schema"`
}

// Body is the body of a request, by media type.
type Body struct {
	Required bool           `yaml:"required"`
	Content  ordered[Media] `yaml:"content"`
}

// Media is content of one type.
type Media struct {
	Schema  *Schema   `yaml:"schema"`
	Example yaml.Node `yaml:"example"`
}

// Response is the answer of an operation with one status.
type Response struct {
	Ref         string          `yaml:"$ref"`
	Description string          `yaml:"description"`
	Headers     ordered[Header] `yaml:"headers"`
	Content     ordered[Media]  `yaml:"content"`
}

// Header is a header of an answer.
type Header struct {
	Ref         string `yaml:"$ref"`
	Description string `yaml:"description"`
}

// ordered is a mapping whose keys keep the order in which they are written.
type ordered[T any] []entry[T]

type entry[T any] struct {
	Key   string
	Value T
}

// UnmarshalYAML reads a mapping.
func (o *ordered[T]) UnmarshalYAML(node *yaml.Node) error {
	for i := 0; i < len(node.Content); i += 2 {
		item := entry[T]{Key: node.Content[i].Value}
		if err := node.Content[i+1].Decode(&item.Value); err != nil {
			return fmt.Errorf("%s: %w", item.Key, err)
		}
		*o = append(*o, item)
	}
	return nil
}

// sections sorts the operations by tag.
func (d description) sections() ([]Section, error) {
	var sections []Section
	for _, tag := range d.Tags {
		slug := strings.ReplaceAll(strings.ToLower(tag.Name), " ", "-")
		sections = append(sections, Section{Slug: slug, Name: tag.Name, Description: tag.Description})
	}
	for _, path := range d.Paths {
		for _, method := range path.Value {
			operation := method.Value
			operation.Method, operation.Path = strings.ToUpper(method.Key), path.Key
			at := slices.IndexFunc(sections, func(s Section) bool {
				return len(operation.Tags) == 1 && s.Name == operation.Tags[0]
			})
			if at < 0 {
				return nil, fmt.Errorf("%s %s has no tag that is known", operation.Method, operation.Path)
			}
			if err := d.Components.resolve(operation); err != nil {
				return nil, fmt.Errorf("%s %s: %w", operation.Method, operation.Path, err)
			}
			sections[at].Operations = append(sections[at].Operations, operation)
		}
	}
	return sections, nil
}

// resolve replaces an operation's references by what they refer to, except for schemas.
func (c components) resolve(operation *Operation) error {
	for i, parameter := range operation.Parameters {
		if parameter.Ref == "" {
			continue
		}
		named, there := c.Parameters[lastPart(parameter.Ref)]
		if !there {
			return fmt.Errorf("%s: there is no such parameter", parameter.Ref)
		}
		operation.Parameters[i] = named
	}
	for i, response := range operation.Responses {
		if reference := response.Value.Ref; reference != "" {
			named, there := c.Responses[lastPart(reference)]
			if !there {
				return fmt.Errorf("%s: there is no such response", reference)
			}
			operation.Responses[i].Value = named
		}
		headers := operation.Responses[i].Value.Headers
		for j, header := range headers {
			if header.Value.Ref != "" {
				headers[j].Value = c.Headers[lastPart(header.Value.Ref)]
			}
		}
	}
	return nil
}

func lastPart(reference string) string { return reference[strings.LastIndexByte(reference, '/')+1:] }

// Operations are those of all sections.
func (d *Document) Operations() []*Operation {
	var all []*Operation
	for _, section := range d.Sections {
		all = append(all, section.Operations...)
	}
	return all
}
