// Package placeholder knows how text stands for a secret: "${e2b.secrets.name}",
// anywhere in the value of a header. Names of secrets do not depend on case.
package placeholder

import (
	"errors"
	"regexp"
	"slices"
	"strings"
)

// prefix begins every placeholder of a secret.
const prefix = "${e2b.secrets."

// pattern is how the migrations find names, too.
var pattern = regexp.MustCompile(`\$\{e2b\.secrets\.([a-zA-Z0-9_-]{1,128})\}`)

var (
	// ErrMalformed says that a text begins a placeholder that names no secret.
	ErrMalformed = errors.New("a placeholder of a secret has the form ${e2b.secrets.name}")
	// ErrUnknown says that nothing is there to put in a placeholder's place.
	ErrUnknown = errors.New("a secret is not there")
)

// For is the placeholder of a secret.
func For(name string) string { return prefix + name + "}" }

// In says whether a text has a placeholder, or begins one.
func In(text string) bool { return strings.Contains(text, prefix) }

// Names are the secrets that a text stands for, in lower case, each once and in
// alphabetical order.
func Names(text string) ([]string, error) {
	if !In(text) {
		return nil, nil
	}
	found := pattern.FindAllStringSubmatch(text, -1)
	if len(found) != strings.Count(text, prefix) {
		return nil, ErrMalformed
	}
	names := make([]string, 0, len(found))
	for _, match := range found {
		names = append(names, strings.ToLower(match[1]))
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Fill puts values in the places of placeholders. What is in a value is never
// looked into. It returns ErrUnknown where lookup does not find one.
func Fill(text string, lookup func(name string) (value string, found bool)) (string, error) {
	if !In(text) {
		return text, nil
	}
	var filled strings.Builder
	at := 0
	for _, match := range pattern.FindAllStringSubmatchIndex(text, -1) {
		value, found := lookup(strings.ToLower(text[match[2]:match[3]]))
		if !found {
			return "", ErrUnknown
		}
		filled.WriteString(text[at:match[0]])
		filled.WriteString(value)
		at = match[1]
	}
	filled.WriteString(text[at:])
	return filled.String(), nil
}

// Only is a text with everything hidden but its placeholders: hidden stands in
// the place of whatever is before, between and behind them.
func Only(text, hidden string) string {
	var shown strings.Builder
	at := 0
	for _, match := range pattern.FindAllStringIndex(text, -1) {
		if match[0] > at {
			shown.WriteString(hidden)
		}
		shown.WriteString(text[match[0]:match[1]])
		at = match[1]
	}
	if at < len(text) || at == 0 {
		shown.WriteString(hidden)
	}
	return shown.String()
}
