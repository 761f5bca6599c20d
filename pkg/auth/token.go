package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"os"
)

// SecretKeySize is the size of the key that tokens are derived from.
const SecretKeySize = 32

// Tokens derives the credentials of sandboxes and volumes from one secret, so that none of
// them has to be stored.
type Tokens struct{ key []byte }

// NewTokens takes the secret key.
func NewTokens(key []byte) (*Tokens, error) {
	if len(key) != SecretKeySize {
		return nil, fmt.Errorf("the secret key has %d bytes, not %d", len(key), SecretKeySize)
	}
	return &Tokens{key: key}, nil
}

// ReadTokens reads the secret key from a file.
func ReadTokens(path string) (*Tokens, error) {
	key, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read secret key: %w", err)
	}
	tokens, err := NewTokens(key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return tokens, nil
}

// EnvdAccess is the token that a sandbox's guest agent asks for.
func (t *Tokens) EnvdAccess(sandboxID string) string { return t.derive("envd-access:" + sandboxID) }

// TrafficAccess is the token that a sandbox's ports ask for when they are not
// public.
func (t *Tokens) TrafficAccess(sandboxID string) string {
	return t.derive("traffic-access:" + sandboxID)
}

// VolumeAccess is the token that opens the content of one volume.
func (t *Tokens) VolumeAccess(volumeID string) string { return t.derive("volume-access:" + volumeID) }

func (t *Tokens) derive(purpose string) string {
	mac := hmac.New(sha256.New, t.key)
	mac.Write([]byte(purpose))
	return hex.EncodeToString(mac.Sum(nil))
}

// Equal compares tokens in a time that does not depend on where they differ.
func Equal(given, wanted string) bool {
	return subtle.ConstantTimeCompare([]byte(given), []byte(wanted)) == 1
}
