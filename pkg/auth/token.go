package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
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

// Epochs are numbers in the database that a sandbox's tokens are derived from,
// besides its ID. Raising one of them revokes the tokens.
type Epochs struct {
	// Team is the epoch of the team that the sandbox belongs to.
	Team int64
	// Sandbox is the sandbox's own.
	Sandbox int64
}

// EnvdAccess is the token that opens a sandbox's guest agent.
func (t *Tokens) EnvdAccess(sandboxID string, epochs Epochs) string {
	return t.derive("envd-access", sandboxID, epochs.Team, epochs.Sandbox)
}

// TrafficAccess is the token that opens a sandbox's ports when they are not public.
func (t *Tokens) TrafficAccess(sandboxID string, epochs Epochs) string {
	return t.derive("traffic-access", sandboxID, epochs.Team, epochs.Sandbox)
}

// VolumeAccess is the token that opens the content of one volume, in the epoch of
// its team.
func (t *Tokens) VolumeAccess(volumeID string, teamEpoch int64) string {
	return t.derive("volume-access", volumeID, teamEpoch)
}

func (t *Tokens) derive(purpose, id string, epochs ...int64) string {
	mac := hmac.New(sha256.New, t.key)
	mac.Write([]byte(purpose + ":" + id))
	for _, epoch := range epochs {
		mac.Write(strconv.AppendInt([]byte(":"), epoch, 10))
	}
	return hex.EncodeToString(mac.Sum(nil))
}

// Equal compares tokens in a time that does not depend on where they differ.
func Equal(given, wanted string) bool {
	return subtle.ConstantTimeCompare([]byte(given), []byte(wanted)) == 1
}
