// Package workload has the identity tokens by which a sandbox shows other services who it
// is, and the keys that sign them. Control planes make the keys and publish their public
// halves; hosts sign.
package workload

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"unicode"
	"unicode/utf8"

	"git.omukk.dev/wrenn/sandbox/pkg/placeholder"
)

const (
	// TypeJWTSVID is the only type of token: a JSON Web Token whose subject is a SPIFFE
	// ID. Source: the SPIFFE project's JWT-SVID specification.
	TypeJWTSVID = "JWT-SVID"
	// MaxTokens is how many tokens one sandbox may have.
	MaxTokens = 20
	// maxAudience is the longest audience, in bytes: a token with it, encoded in JSON and
	// base64, fits into a header.
	maxAudience = 512
)

// Errors of Validate.
var (
	ErrTooMany    = fmt.Errorf("at most %d tokens are possible", MaxTokens)
	ErrName       = fmt.Errorf("a name has from 1 to %d characters, without '{', '}' and control characters", placeholder.MaxTokenName)
	ErrTokenType  = errors.New("tokenType must be " + TypeJWTSVID)
	ErrNoAudience = fmt.Errorf("audience must have from 1 to %d bytes of text without control characters", maxAudience)
)

// Token describes one identity token.
type Token struct {
	// Audience is the service that it is for, exactly as the client wrote it.
	Audience  string `json:"audience"`
	TokenType string `json:"tokenType"`
}

// Tokens are those of one sandbox, by name.
type Tokens map[string]Token

// Validate returns an error for the first token, by name, that is not valid.
func (t Tokens) Validate() error {
	if len(t) > MaxTokens {
		return ErrTooMany
	}
	for _, name := range slices.Sorted(maps.Keys(t)) {
		if !placeholder.IsTokenName(name) || !utf8.ValidString(name) {
			return fmt.Errorf("%.200q: %w", name, ErrName)
		}
		if err := t[name].validate(); err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
	}
	return nil
}

func (t Token) validate() error {
	if t.TokenType != TypeJWTSVID {
		return ErrTokenType
	}
	if t.Audience == "" || len(t.Audience) > maxAudience || !utf8.ValidString(t.Audience) {
		return ErrNoAudience
	}
	for _, character := range t.Audience {
		if unicode.IsControl(character) {
			return ErrNoAudience
		}
	}
	return nil
}

// Identity is who a sandbox is in its tokens.
type Identity struct {
	TeamID     string `json:"teamId,omitempty"`
	TemplateID string `json:"templateId,omitempty"`
	// Tokens are empty for a sandbox without identity.
	Tokens Tokens `json:"tokens,omitempty"`
}
