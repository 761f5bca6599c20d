// Package placeholder finds and fills in placeholders in the values of headers:
// "${e2b.secrets.name}" for a secret and "${e2b.identity.tokens.name}" for an identity
// token. Only hosts fill them in. Names of secrets do not depend on case, those of tokens
// do.
package placeholder

import (
	"errors"
	"regexp"
	"slices"
	"strings"
)

// The beginnings of placeholders. identityPrefix is reserved as a whole.
const (
	secretPrefix   = "${e2b.secrets."
	tokenPrefix    = identityPrefix + "tokens."
	identityPrefix = "${e2b.identity."
)

// MaxTokenName is the length of the longest name of an identity token, in characters.
const MaxTokenName = 128

// The patterns of names. The function secret_names of the schema has the one of secrets.
const (
	secretName = `[a-zA-Z0-9_-]{1,128}`
	tokenName  = `[^{}\x{0}-\x{1f}\x{7f}-\x{9f}]{1,128}`
)

var (
	// pattern has the name of a secret in its first group, that of a token in its second.
	pattern          = regexp.MustCompile(`\$\{e2b\.(?:secrets\.(` + secretName + `)|identity\.tokens\.(` + tokenName + `))\}`)
	tokenNamePattern = regexp.MustCompile(`^` + tokenName + `$`)
)

var (
	// ErrMalformed is returned for a text with a placeholder that names nothing.
	ErrMalformed = errors.New("placeholders have the form ${e2b.secrets.name} or ${e2b.identity.tokens.name}")
	// ErrUnknown is returned for a placeholder of a secret that is not found.
	ErrUnknown = errors.New("what a placeholder stands for is not there")
)

// For returns the placeholder of a secret.
func For(name string) string { return secretPrefix + name + "}" }

// ForToken returns the placeholder of an identity token.
func ForToken(name string) string { return tokenPrefix + name + "}" }

// IsTokenName reports whether a placeholder can have a text as the name of a token.
func IsTokenName(name string) bool { return tokenNamePattern.MatchString(name) }

// In reports whether a text has a placeholder, complete or not.
func In(text string) bool {
	return strings.Contains(text, secretPrefix) || strings.Contains(text, identityPrefix)
}

// Names are those of the placeholders in a text, each once and in alphabetical order.
type Names struct {
	// Secrets are in lower case.
	Secrets []string
	Tokens  []string
}

// Find returns the names of the placeholders in texts. It returns ErrMalformed where one
// has a placeholder that names nothing.
func Find(texts ...string) (Names, error) {
	var names Names
	for _, text := range texts {
		if !In(text) {
			continue
		}
		found := pattern.FindAllStringSubmatch(text, -1)
		if len(found) != strings.Count(text, secretPrefix)+strings.Count(text, identityPrefix) {
			return Names{}, ErrMalformed
		}
		for _, match := range found {
			if match[1] != "" {
				names.Secrets = append(names.Secrets, strings.ToLower(match[1]))
			} else {
				names.Tokens = append(names.Tokens, match[2])
			}
		}
	}
	slices.Sort(names.Secrets)
	slices.Sort(names.Tokens)
	return Names{slices.Compact(names.Secrets), slices.Compact(names.Tokens)}, nil
}

// Values fill in placeholders. A nil function finds nothing.
type Values struct {
	// Secret returns a secret by its name in lower case.
	Secret func(name string) (value string, found bool)
	// Token returns an identity token. Fill returns its error.
	Token func(name string) (token string, err error)
}

// Fill returns a text with values in place of its placeholders. Placeholders in values
// are not filled in. It returns ErrUnknown where a secret is not found.
func Fill(text string, values Values) (string, error) {
	if !In(text) {
		return text, nil
	}
	var filled strings.Builder
	at := 0
	for _, match := range pattern.FindAllStringSubmatchIndex(text, -1) {
		value, err := values.of(text, match)
		if err != nil {
			return "", err
		}
		filled.WriteString(text[at:match[0]])
		filled.WriteString(value)
		at = match[1]
	}
	filled.WriteString(text[at:])
	return filled.String(), nil
}

// of returns the value of one match of pattern in a text.
func (v Values) of(text string, match []int) (string, error) {
	isSecret := match[2] >= 0
	switch {
	case isSecret && v.Secret != nil:
		if value, found := v.Secret(strings.ToLower(text[match[2]:match[3]])); found {
			return value, nil
		}
	case !isSecret && v.Token != nil:
		return v.Token(text[match[4]:match[5]])
	}
	return "", ErrUnknown
}

// Only returns a text with hidden in place of everything before, between and after its
// placeholders.
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
