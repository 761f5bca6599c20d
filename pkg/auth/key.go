// Package auth authenticates and authorises requests: roles and permissions, API keys,
// access tokens, sessions, and the tokens of sandboxes and volumes.
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
	// shownPrefix and shownSuffix are how many characters of a key a mask shows.
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

// ContainsKey says whether a text contains an API key or an access token.
func ContainsKey(text string) bool { return containedKey.MatchString(text) }

func randomHex() string {
	secret := make([]byte, keyBytes)
	_, _ = rand.Read(secret) // never fails
	return hex.EncodeToString(secret)
}

// NewSecret makes the token of a session or of a link in a mail: 256 random bits in
// base64url.
func NewSecret() string {
	secret := make([]byte, secretBytes)
	_, _ = rand.Read(secret) // never fails
	return base64.RawURLEncoding.EncodeToString(secret)
}

// CSRFToken is the token that a page sends with unsafe requests of a session. The session
// cannot be computed from it.
func CSRFToken(session string) string {
	sum := sha256.Sum256([]byte("csrf:" + session))
	return hex.EncodeToString(sum[:])
}

// HashKey is the hash under which a random secret, such as an API key, is stored. A plain
// hash is enough, because such a secret cannot be guessed.
func HashKey(key string) []byte {
	sum := sha256.Sum256([]byte(key))
	return sum[:]
}

// Mask is the part of a key that may be shown.
type Mask struct {
	Prefix      string
	ValueLength int
	MaskedStart string
	MaskedEnd   string
}

// MaskKey returns the mask of an API key.
func MaskKey(key string) Mask { return mask(KeyPrefix, key) }

// MaskAccessToken returns the mask of an access token.
func MaskAccessToken(token string) Mask { return mask(AccessTokenPrefix, token) }

func mask(prefix, secret string) Mask {
	value := secret[len(prefix):]
	return Mask{
		Prefix: prefix, ValueLength: len(value),
		MaskedStart: value[:shownPrefix], MaskedEnd: value[len(value)-shownSuffix:],
	}
}
