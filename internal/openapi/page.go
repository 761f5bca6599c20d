package openapi

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"sync"
)

//go:embed page.html.tmpl
var pageText string

//go:embed page.css
var styleText string

// PagePolicy is the Content-Security-Policy of the pages: nothing is loaded from
// anywhere, no script runs, and the one style is the page's own.
var PagePolicy = sync.OnceValue(func() string {
	sum := sha256.Sum256([]byte(styleText))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
})

// page is what one page is rendered from.
type page struct {
	*Document
	Style   template.CSS
	Section *Section // nil on the first page
}

// part is a value with its name, for the list of its fields.
type part struct {
	Name     string
	Schema   *Schema
	Required bool
	Answered bool // of an answer, in which fields that are not required may be absent
	Depth    int
}

// Pages renders the document as HTML: "" is the first page, the others are sections by
// their slugs.
func (d *Document) Pages() (map[string][]byte, error) {
	text, err := template.New("page").Funcs(d.functions()).Parse(pageText)
	if err != nil {
		return nil, fmt.Errorf("read the template of the API's pages: %w", err)
	}
	style := template.CSS(styleText) //nolint:gosec // ours
	pages := map[string][]byte{}
	render := func(slug string, section *Section) error {
		var content bytes.Buffer
		if err := text.Execute(&content, page{d, style, section}); err != nil {
			return fmt.Errorf("write page %q of the API's document: %w", slug, err)
		}
		pages[slug] = content.Bytes()
		return nil
	}
	if err := render("", nil); err != nil {
		return nil, err
	}
	for i := range d.Sections {
		if err := render(d.Sections[i].Slug, &d.Sections[i]); err != nil {
			return nil, err
		}
	}
	return pages, nil
}

func (d *Document) functions() template.FuncMap {
	return template.FuncMap{
		"prose": prose, "kind": d.kind, "curl": d.curl, "lower": strings.ToLower,
		"meaning": func(s *Schema) string { return d.follow(s).Description },
		"bounds":  d.bounds, "choices": d.choices,
		"fieldsOf": d.fieldsOf, "sample": func(m Media) string { return d.sampleOf(m, false) },
		"inSection": func(p page, s Section) bool { return p.Section != nil && p.Section.Slug == s.Slug },
		"sent":      func(s *Schema) part { return part{Schema: s} },
		"answered":  func(s *Schema) part { return part{Schema: s, Answered: true} },
		"places":    func() []string { return []string{"path", "query", "header"} },
		"in": func(place string, all []Parameter) []Parameter {
			return slices.DeleteFunc(slices.Clone(all), func(p Parameter) bool { return p.In != place })
		},
		"credentials": credentials,
	}
}

// fieldsOf lists the fields of the object inside a value; none beyond a depth.
func (d *Document) fieldsOf(of part) []part {
	object := d.inner(of.Schema)
	if object == nil || of.Depth > deepest {
		return nil
	}
	var all []part
	for _, property := range object.Properties {
		required := slices.Contains(object.Required, property.Key)
		all = append(all, part{property.Key, property.Value, required, of.Answered, of.Depth + 1})
	}
	return all
}

// credentialNames are the names of credentials on pages.
var credentialNames = map[string]string{
	"apiKey": "API key", "accessToken": "access token", "session": "session", "adminToken": "admin token", "volumeToken": "volume token",
}

// credentials returns which credentials are accepted; "" if none is needed.
func credentials(o *Operation) string {
	var names []string
	for _, way := range o.Security {
		for name := range way {
			if shown, known := credentialNames[name]; known {
				names = append(names, shown)
			}
		}
	}
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// prose turns text with `code` and empty lines between paragraphs into HTML.
func prose(text string) template.HTML {
	var html strings.Builder
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		html.WriteString("<p>")
		for i, piece := range strings.Split(paragraph, "`") {
			if i%2 == 1 {
				html.WriteString("<code>" + template.HTMLEscapeString(piece) + "</code>")
			} else {
				html.WriteString(template.HTMLEscapeString(piece))
			}
		}
		html.WriteString("</p>")
	}
	return template.HTML(html.String()) //nolint:gosec // escaped above
}
