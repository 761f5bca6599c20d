// Package id makes and checks the identifiers that clients see.
package id

import (
	"crypto/rand"
	"regexp"
	"strings"
)

// alphabet has 36 characters; the largest multiple of 36 below 256 is 252.
const (
	alphabet   = "abcdefghijklmnopqrstuvwxyz0123456789"
	fairBelow  = 252
	randomSize = 19
	secretSize = 20
)

// The characters that begin the IDs of each kind.
const (
	sandboxPrefix  = "i"
	templatePrefix = "t"
	volumePrefix   = "v"
)

// SecretPrefix begins the IDs of secrets. No secret's name begins with it.
const SecretPrefix = "sec_"

var (
	clientPattern    = regexp.MustCompile(`^[a-z0-9]{1,32}$`)
	plausiblePattern = regexp.MustCompile(`^[a-zA-Z0-9]+([-_][a-zA-Z0-9]+)*$`)
	templatePattern  = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}$`)
)

// NewSandbox makes a sandbox ID: "i" and 19 random characters. It is used as a DNS
// label, a directory's name and a process's name.
func NewSandbox() string { return sandboxPrefix + random(randomSize) }

// NewTemplate makes a template ID: "t" and 19 random characters.
func NewTemplate() string { return templatePrefix + random(randomSize) }

// IsSandbox reports whether a text has the form of a sandbox ID.
func IsSandbox(text string) bool { return isRandom(sandboxPrefix, text) }

// ReadSandbox returns the sandbox ID in a client's text: in upper or lower case, and
// followed by "-" and a client's ID, which older clients add. It returns false if the
// text is malformed.
func ReadSandbox(text string) (string, bool) {
	name, client, hasClient := strings.Cut(strings.ToLower(text), "-")
	return name, IsSandbox(name) && (!hasClient || clientPattern.MatchString(client))
}

// NewVolume makes a volume ID: "v" and 19 random characters. It is used as a
// directory's name.
func NewVolume() string { return volumePrefix + random(randomSize) }

// IsVolume reports whether a text has the form of a volume ID.
func IsVolume(text string) bool { return isRandom(volumePrefix, text) }

// IsPlausible reports whether a text could be an ID of this server or another one. A
// plausible ID that is unknown is answered as not found, other texts as malformed.
func IsPlausible(text string) bool { return plausiblePattern.MatchString(text) }

// NewSecret makes a secret ID: SecretPrefix and 20 random characters.
func NewSecret() string { return SecretPrefix + random(secretSize) }

// IsTemplate reports whether a text could be a template's ID or alias.
func IsTemplate(text string) bool { return templatePattern.MatchString(text) }

// isRandom reports whether a text is a prefix and randomSize characters of the alphabet.
func isRandom(prefix, text string) bool {
	rest, found := strings.CutPrefix(text, prefix)
	return found && len(rest) == randomSize && strings.Trim(rest, alphabet) == ""
}

// random returns n characters, each as likely as any other.
func random(n int) string {
	result := make([]byte, 0, n)
	for len(result) < n {
		buffer := make([]byte, n)
		_, _ = rand.Read(buffer) // never fails
		for _, b := range buffer {
			if b < fairBelow && len(result) < n {
				result = append(result, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return string(result)
}
