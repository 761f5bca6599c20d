package validate

import (
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

const (
	longestEmail = 254 // bytes
	longestName  = 100 // characters
)

// Email checks an e-mail address and returns the form in which it is stored.
func Email(field, text string) (string, error) {
	email := strings.ToLower(strings.TrimSpace(text))
	parsed, err := mail.ParseAddress(email)
	if err != nil || parsed.Address != email || len(email) > longestEmail || strings.ContainsFunc(email, isControl) {
		return "", fault.New(fault.Invalid, "%s must be an e-mail address", field)
	}
	return email, nil
}

// Name checks the name of a user, a team or a key and returns it without surrounding
// space.
func Name(name string) (string, error) {
	name = strings.TrimSpace(name)
	switch {
	case name == "":
		return "", fault.New(fault.Invalid, "name is missing")
	case utf8.RuneCountInString(name) > longestName:
		return "", fault.New(fault.Invalid, "name must have at most %d characters", longestName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, isControl):
		return "", fault.New(fault.Invalid, "name must not contain control characters")
	}
	return name, nil
}

func isControl(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }
