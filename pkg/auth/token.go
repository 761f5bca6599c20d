package auth

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"strconv"
	"sync/atomic"
)

// SecretKeySize is the size of the key that tokens are derived from.
const SecretKeySize = 32

// tokenLabel keeps the key of tokens apart from what else is derived from the secret
// key: what secrets are sealed with.
const tokenLabel = "wrenn tokens: HMAC-SHA256"

// Tokens derives the credentials of sandboxes and volumes from one secret, so that none of
// them has to be stored. It is safe for use by many goroutines.
type Tokens struct{ key atomic.Pointer[[]byte] }

// NewTokens takes the secret key.
func NewTokens(secretKey []byte) (*Tokens, error) {
	tokens := &Tokens{}
	if err := tokens.Use(secretKey); err != nil {
		return nil, err
	}
	return tokens, nil
}

// Use takes another secret key: every token that was derived is worthless, and is
// another one when it is derived again.
func (t *Tokens) Use(secretKey []byte) error {
	if len(secretKey) != SecretKeySize {
		return fmt.Errorf("the secret key has %d bytes, not %d", len(secretKey), SecretKeySize)
	}
	key, err := hkdf.Key(sha256.New, secretKey, nil, tokenLabel, sha256.Size)
	if err != nil {
		return fmt.Errorf("derive the key of tokens: %w", err)
	}
	t.key.Store(&key)
	return nil
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
	mac := hmac.New(sha256.New, *t.key.Load())
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
