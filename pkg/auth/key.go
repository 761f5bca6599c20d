// Package auth says who is asking and what they may do: roles and permissions,
// API keys, access tokens, sessions, and the tokens that open one sandbox.
package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"regexp"
)

const (
	// KeyPrefix starts every API key; official clients check for it.
	KeyPrefix = "e2b_"
	// AccessTokenPrefix starts every access token.
	AccessTokenPrefix = "sk_e2b_"
	keyBytes          = 20
	secretBytes       = 32
	// shownPrefix and shownSuffix are how much of a key a list shows.
	shownPrefix, shownSuffix = 2, 4
)

// keyDigits are the digits of an API key or access token behind its prefix: keyBytes
// in hexadecimal.
const keyDigits = `[0-9a-f]{40}`

var (
	keyPattern         = regexp.MustCompile(`^` + KeyPrefix + keyDigits + `$`)
	accessTokenPattern = regexp.MustCompile(`^` + AccessTokenPrefix + keyDigits + `$`)
	// containedKey also matches access tokens, whose prefix ends with that of keys.
	containedKey = regexp.MustCompile(KeyPrefix + keyDigits)
)

// NewKey makes an API key.
func NewKey() string { return KeyPrefix + randomHex() }

// IsKey says whether a text has the form of an API key.
func IsKey(text string) bool { return keyPattern.MatchString(text) }

// NewAccessToken makes a user's access token.
func NewAccessToken() string { return AccessTokenPrefix + randomHex() }

// IsAccessToken says whether a text has the form of an access token.
func IsAccessToken(text string) bool { return accessTokenPattern.MatchString(text) }

// ContainsKey says whether an API key or an access token is anywhere in a text.
func ContainsKey(text string) bool { return containedKey.MatchString(text) }

func randomHex() string {
	secret := make([]byte, keyBytes)
	_, _ = rand.Read(secret) // never fails
	return hex.EncodeToString(secret)
}

// NewSecret makes what a session's cookie or a link in a mail holds: 256 random
// bits, fit for a URL.
func NewSecret() string {
	secret := make([]byte, secretBytes)
	_, _ = rand.Read(secret) // never fails
	return base64.RawURLEncoding.EncodeToString(secret)
}

// CSRFToken is what a page sends along with a session's cookie when it changes
// something. Whoever knows it need not know the session.
func CSRFToken(session string) string {
	sum := sha256.Sum256([]byte("csrf:" + session))
	return hex.EncodeToString(sum[:])
}

// HashKey is what is stored of a key, or of any other random secret: a plain hash
// of it cannot be guessed backwards.
func HashKey(key string) []byte {
	sum := sha256.Sum256([]byte(key))
	return sum[:]
}

// Mask is what may be shown of a key.
type Mask struct {
	Prefix      string
	ValueLength int
	MaskedStart string
	MaskedEnd   string
}

// MaskKey returns what may be shown of an API key.
func MaskKey(key string) Mask { return mask(KeyPrefix, key) }

// MaskAccessToken returns what may be shown of an access token.
func MaskAccessToken(token string) Mask { return mask(AccessTokenPrefix, token) }

func mask(prefix, secret string) Mask {
	value := secret[len(prefix):]
	return Mask{
		Prefix: prefix, ValueLength: len(value),
		MaskedStart: value[:shownPrefix], MaskedEnd: value[len(value)-shownSuffix:],
	}
}
