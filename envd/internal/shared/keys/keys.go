// Package keys compares and digests the secrets envd is told.
package keys

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
)

// Digest is the SHA-256 of a secret in lower-case hexadecimal digits: what may
// be written where the secret itself may not.
func Digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// Equal compares two secrets in a time that does not tell where they differ,
// nor how long either is.
func Equal(one, other string) bool {
	first, second := sha256.Sum256([]byte(one)), sha256.Sum256([]byte(other))
	return subtle.ConstantTimeCompare(first[:], second[:]) == 1
}
