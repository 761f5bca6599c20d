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

// tokenLabel separates the key of tokens from the sealing keys, which are derived from
// the same secret key.
const tokenLabel = "wrenn tokens: HMAC-SHA256"

// Tokens derives the tokens of sandboxes and volumes from a secret key, so that none is
// stored. It is safe for concurrent use.
type Tokens struct{ key atomic.Pointer[[]byte] }

// NewTokens takes the secret key.
func NewTokens(secretKey []byte) (*Tokens, error) {
	tokens := &Tokens{}
	if err := tokens.Use(secretKey); err != nil {
		return nil, err
	}
	return tokens, nil
}

// Use replaces the secret key, which changes every token.
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

// Epochs are stored numbers from which a sandbox's tokens are derived, besides its ID.
// Raising one of them revokes the tokens.
type Epochs struct {
	Team    int64
	Sandbox int64
}

// EnvdAccess is the token for a sandbox's guest agent.
func (t *Tokens) EnvdAccess(sandboxID string, epochs Epochs) string {
	return t.derive("envd-access", sandboxID, epochs.Team, epochs.Sandbox)
}

// TrafficAccess is the token for a sandbox's ports where they are not public.
func (t *Tokens) TrafficAccess(sandboxID string, epochs Epochs) string {
	return t.derive("traffic-access", sandboxID, epochs.Team, epochs.Sandbox)
}

// VolumeAccess is the token for the content of a volume, in the epoch of its team.
func (t *Tokens) VolumeAccess(volumeID string, teamEpoch int64) string {
	return t.derive("volume-access", volumeID, teamEpoch)
}

// BuildUpload is the signature of the right to upload files of a build to a host until a
// time, in seconds since 1970.
func (t *Tokens) BuildUpload(teamID, hostID, hash string, expires int64) string {
	return t.derive("build-upload", teamID+":"+hostID+":"+hash, expires)
}

func (t *Tokens) derive(purpose, id string, epochs ...int64) string {
	mac := hmac.New(sha256.New, *t.key.Load())
	mac.Write([]byte(purpose + ":" + id))
	for _, epoch := range epochs {
		mac.Write(strconv.AppendInt([]byte(":"), epoch, 10))
	}
	return hex.EncodeToString(mac.Sum(nil))
}

// Equal compares secrets in constant time.
func Equal(given, wanted string) bool {
	return subtle.ConstantTimeCompare([]byte(given), []byte(wanted)) == 1
}
