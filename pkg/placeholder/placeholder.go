// Package placeholder knows how text stands for what only a host fills in, anywhere
// in the value of a header: "${e2b.secrets.name}" for a secret and
// "${e2b.identity.tokens.name}" for an identity token. Names of secrets do not depend
// on case, those of tokens do.
package placeholder

import (
	"errors"
	"regexp"
	"slices"
	"strings"
)

// What begins every placeholder of a secret, of an identity token, and of what an
// identity may have besides.
const (
	secretPrefix   = "${e2b.secrets."
	tokenPrefix    = identityPrefix + "tokens."
	identityPrefix = "${e2b.identity."
)

// MaxTokenName is the most characters that the name of an identity token has.
const MaxTokenName = 128

// What a name is. Migrations find the names of secrets by the same words.
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
	// ErrMalformed says that a text begins a placeholder that names nothing.
	ErrMalformed = errors.New("placeholders have the form ${e2b.secrets.name} or ${e2b.identity.tokens.name}")
	// ErrUnknown says that nothing is there to put in a placeholder's place.
	ErrUnknown = errors.New("what a placeholder stands for is not there")
)

// For is the placeholder of a secret.
func For(name string) string { return secretPrefix + name + "}" }

// ForToken is the placeholder of an identity token.
func ForToken(name string) string { return tokenPrefix + name + "}" }

// IsTokenName tells whether a placeholder can name an identity token so.
func IsTokenName(name string) bool { return tokenNamePattern.MatchString(name) }

// In says whether a text has a placeholder, or begins one.
func In(text string) bool {
	return strings.Contains(text, secretPrefix) || strings.Contains(text, identityPrefix)
}

// Names are what a text stands for, each once and in alphabetical order.
type Names struct {
	// Secrets are in lower case.
	Secrets []string
	Tokens  []string
}

// Find names what texts stand for. It returns ErrMalformed where one begins a
// placeholder that names nothing.
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

// Values are what placeholders stand for. One that is nil has nothing.
type Values struct {
	// Secret finds a secret by its name in lower case.
	Secret func(name string) (value string, found bool)
	// Token finds an identity token. Its error is Fill's.
	Token func(name string) (token string, err error)
}

// Fill puts values in the places of placeholders. What is in a value is never
// looked into. It returns ErrUnknown where a secret is not found.
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

// of finds the value of one match of pattern in a text.
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
