// Package auth says who is asking: team API keys, and the tokens that open one
// sandbox.
package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
)

const (
	// KeyPrefix starts every API key; official clients check for it.
	KeyPrefix = "e2b_"
	keyBytes  = 20
	// shownPrefix and shownSuffix are how much of a key a list shows.
	shownPrefix, shownSuffix = 2, 4
)

var keyPattern = regexp.MustCompile(`^e2b_[0-9a-f]{40}$`)

// NewKey makes an API key.
func NewKey() string {
	secret := make([]byte, keyBytes)
	_, _ = rand.Read(secret) // never fails
	return KeyPrefix + hex.EncodeToString(secret)
}

// IsKey says whether a text has the form of an API key.
func IsKey(text string) bool { return keyPattern.MatchString(text) }

// HashKey is what is stored of a key. Keys are random, so that a plain hash
// cannot be guessed backwards.
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

// MaskKey returns what may be shown of a key.
func MaskKey(key string) Mask {
	value := key[len(KeyPrefix):]
	return Mask{
		Prefix: KeyPrefix, ValueLength: len(value),
		MaskedStart: value[:shownPrefix], MaskedEnd: value[len(value)-shownSuffix:],
	}
}
