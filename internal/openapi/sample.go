package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// deepest is the greatest depth of samples and lists of fields.
const deepest = 6

// field is one field of a sample, in its order.
type field struct {
	name  string
	value any
}

// fields are a JSON object whose fields keep their order.
type fields []field

// MarshalJSON writes the object.
func (f fields) MarshalJSON() ([]byte, error) {
	var text bytes.Buffer
	text.WriteByte('{')
	for i, field := range f {
		name, err := json.Marshal(field.name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(field.value)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			text.WriteByte(',')
		}
		fmt.Fprintf(&text, "%s:%s", name, value)
	}
	text.WriteByte('}')
	return text.Bytes(), nil
}

// sample makes an example of a schema. That of a request has required fields only.
func (d *Document) sample(name string, schema *Schema, onlyRequired bool, depth int) any {
	schema = d.follow(schema)
	switch {
	case depth > deepest:
		return nil
	case len(schema.OneOf) > 0:
		return d.sample(name, schema.OneOf[0], onlyRequired, depth)
	case len(schema.Enum) > 0:
		return schema.Enum[0]
	case schema.is("object"):
		made := fields{}
		for _, property := range schema.Properties {
			if !onlyRequired || slices.Contains(schema.Required, property.Key) {
				made = append(made, field{property.Key, d.sample(property.Key, property.Value, onlyRequired, depth+1)})
			}
		}
		return made
	case schema.is("array"):
		return []any{d.sample(name, schema.Items, onlyRequired, depth+1)}
	default:
		return plainSample(name, schema)
	}
}

func plainSample(name string, schema *Schema) any {
	switch {
	case schema.Default != nil:
		return schema.Default
	case schema.is("boolean"):
		return true
	case schema.is("integer"), schema.is("number"):
		if schema.Minimum != nil {
			return *schema.Minimum
		}
		return 0
	case schema.Format == "date-time":
		return "2026-01-31T12:00:00Z"
	case schema.Format == "uuid":
		return "3f2a7c1e-5b0d-4e86-9a57-0c1d2e3f4a5b"
	case strings.HasSuffix(strings.ToLower(name), "email"):
		return "ada@example.com"
	default:
		return "…"
	}
}

// inOrder is the value of an example with its fields in the order of the document.
func inOrder(node *yaml.Node) any {
	switch node.Kind {
	case yaml.MappingNode:
		made := fields{}
		for i := 0; i < len(node.Content); i += 2 {
			made = append(made, field{node.Content[i].Value, inOrder(node.Content[i+1])})
		}
		return made
	case yaml.SequenceNode:
		made := []any{}
		for _, item := range node.Content {
			made = append(made, inOrder(item))
		}
		return made
	default:
		var value any
		if node.Decode(&value) != nil {
			return node.Value
		}
		return value
	}
}

func (d *Document) sampleOf(media Media, onlyRequired bool) string {
	var value any
	if !media.Example.IsZero() {
		value = inOrder(&media.Example)
	} else {
		value = d.sample("", media.Schema, onlyRequired, 0)
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return ""
	}
	return strings.TrimSpace(text.String())
}

// credentialHeaders show how each credential is sent.
var credentialHeaders = map[string]string{
	"apiKey":      `-H "X-API-Key: $E2B_API_KEY"`,
	"accessToken": `-H "Authorization: Bearer $E2B_ACCESS_TOKEN"`,
	"session":     `-b "wrenn_session=$SESSION"`,
	"csrfToken":   `-H "X-CSRF-Token: $CSRF_TOKEN"`,
	"adminToken":  `-H "X-Admin-Token: $ADMIN_TOKEN"`,
	"volumeToken": `-H "Authorization: Bearer $VOLUME_TOKEN"`,
}

// curl returns a command that calls an operation.
func (d *Document) curl(o *Operation) string {
	path, query := o.Path, ""
	for _, parameter := range o.Parameters {
		if parameter.In == "path" {
			path = strings.ReplaceAll(path, "{"+parameter.Name+"}", "$"+strings.ToUpper(parameter.Name))
		} else if parameter.In == "query" && parameter.Required {
			query += "&" + parameter.Name + "=…"
		}
	}
	if query != "" {
		path += "?" + query[1:]
	}
	command := "curl "
	if o.Method != http.MethodGet {
		command += "-X " + o.Method + " "
	}
	lines := []string{command + `"$E2B_API_URL` + path + `"`}
	if len(o.Security) > 0 {
		for _, name := range []string{"apiKey", "accessToken", "session", "csrfToken", "adminToken", "volumeToken"} {
			if _, needed := o.Security[0][name]; needed {
				lines = append(lines, credentialHeaders[name])
			}
		}
	}
	if o.RequestBody != nil {
		content := o.RequestBody.Content[0]
		lines = append(lines, `-H "Content-Type: `+content.Key+`"`)
		if content.Key == "application/json" {
			lines = append(lines, "-d '"+d.sampleOf(content.Value, true)+"'")
		} else {
			lines = append(lines, "--data-binary @file")
		}
	}
	return strings.Join(lines, " \\\n  ")
}
