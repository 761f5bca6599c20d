// Package id makes and recognises the identifiers that clients see.
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

var (
	sandboxPattern   = regexp.MustCompile(`^i[a-z0-9]{19}$`)
	clientPattern    = regexp.MustCompile(`^[a-z0-9]{1,32}$`)
	volumePattern    = regexp.MustCompile(`^v[a-z0-9]{19}$`)
	plausiblePattern = regexp.MustCompile(`^[a-zA-Z0-9]+([-_][a-zA-Z0-9]+)*$`)
	templatePattern  = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}$`)
)

// NewSandbox makes a sandbox ID: "i" and 19 random characters. It is a DNS
// label, a directory name and a process name at once.
func NewSandbox() string { return "i" + random(randomSize) }

// NewTemplate makes a template ID: "t" and 19 random characters.
func NewTemplate() string { return "t" + random(randomSize) }

// IsSandbox says whether a text has the form of a sandbox ID.
func IsSandbox(text string) bool { return sandboxPattern.MatchString(text) }

// ReadSandbox returns the sandbox ID that a client means: in any case, and with the
// ID of a client behind it, which older ones add. It answers false where that has
// not the form of one.
func ReadSandbox(text string) (string, bool) {
	name, client, hasClient := strings.Cut(strings.ToLower(text), "-")
	return name, IsSandbox(name) && (!hasClient || clientPattern.MatchString(client))
}

// NewVolume makes a volume ID: "v" and 19 random characters. It is a directory name.
func NewVolume() string { return "v" + random(randomSize) }

// IsVolume says whether a text has the form of a volume ID.
func IsVolume(text string) bool { return volumePattern.MatchString(text) }

// IsPlausible says whether a text could be an ID of this or of another server's: it
// then names nothing here, while any other text is malformed.
func IsPlausible(text string) bool { return plausiblePattern.MatchString(text) }

// NewSecret makes a secret ID: "sec_" and 20 random characters. No secret has a name
// that begins so.
func NewSecret() string { return "sec_" + random(secretSize) }

// IsTemplate says whether a text could name a template, by ID or by alias.
func IsTemplate(text string) bool { return templatePattern.MatchString(text) }

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
