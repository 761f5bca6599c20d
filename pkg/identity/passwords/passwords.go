// Package passwords hashes passwords with argon2id.
package passwords

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

const (
	shortest = 10 // characters
	// Longest is the longest password, in bytes.
	Longest = 256
	// atOnce bounds the memory that hashing takes.
	atOnce    = 4
	saltBytes = 16
)

// cost are the parameters of argon2id.
type cost struct {
	memoryKiB uint32
	rounds    uint32
	threads   uint8
	hashBytes uint32
}

// currentCost is the least that OWASP recommends. Hashes with other parameters are
// replaced at the next sign-in.
var currentCost = cost{memoryKiB: 19 * 1024, rounds: 2, threads: 1, hashBytes: 32}

// costLimit bounds the parameters of stored hashes, which could exhaust the machine.
var costLimit = cost{memoryKiB: 1 << 20, rounds: 16, threads: 16, hashBytes: 64}

// Check returns a fault for a password that is too short or too long. field names it.
func Check(field, password string) error {
	switch {
	case utf8.RuneCountInString(password) < shortest:
		return fault.New(fault.Invalid, "%s must have at least %d characters", field, shortest)
	case len(password) > Longest:
		return fault.New(fault.Invalid, "%s must have at most %d bytes", field, Longest)
	}
	return nil
}

// Hasher hashes passwords, a few at a time.
type Hasher struct {
	hashing chan struct{} // has an element for each password that is hashed
}

// NewHasher makes a Hasher.
func NewHasher() *Hasher { return &Hasher{hashing: make(chan struct{}, atOnce)} }

// Hash returns the hash of a password, with its parameters.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // never fails
	sum, err := h.argon2(ctx, password, salt, currentCost)
	if err != nil {
		return "", err
	}
	return formatHash(currentCost, salt, sum), nil
}

// Matches says whether a password has a hash, and whether that hash should be replaced
// because its parameters are outdated.
func (h *Hasher) Matches(ctx context.Context, password, hash string) (matches, outdated bool, err error) {
	made, salt, wanted, err := parseHash(hash)
	if err != nil {
		return false, false, err
	}
	sum, err := h.argon2(ctx, password, salt, made)
	if err != nil {
		return false, false, err
	}
	return subtle.ConstantTimeCompare(sum, wanted) == 1, made != currentCost, nil
}

func (h *Hasher) argon2(ctx context.Context, password string, salt []byte, c cost) ([]byte, error) {
	select {
	case h.hashing <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait to hash a password: %w", ctx.Err())
	}
	defer func() { <-h.hashing }()
	return argon2.IDKey([]byte(password), salt, c.rounds, c.memoryKiB, c.threads, c.hashBytes), nil
}

// Unusable is a hash that no password has. To match it takes as long as to match
// another.
func Unusable() string {
	return formatHash(currentCost, make([]byte, saltBytes), make([]byte, currentCost.hashBytes))
}

const hashFormat = "$argon2id$v=%d$m=%d,t=%d,p=%d$%s"

func formatHash(c cost, salt, sum []byte) string {
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf(hashFormat, argon2.Version, c.memoryKiB, c.rounds, c.threads, encode(salt)+"$"+encode(sum))
}

var errNotAHash = errors.New("the stored password is not an argon2id hash")

func parseHash(text string) (c cost, salt, sum []byte, err error) {
	var version int
	var rest string
	if _, err := fmt.Sscanf(text, hashFormat, &version, &c.memoryKiB, &c.rounds, &c.threads, &rest); err != nil || version != argon2.Version {
		return c, nil, nil, errNotAHash
	}
	salt, sum, err = splitHash(rest)
	if err != nil {
		return c, nil, nil, errNotAHash
	}
	c.hashBytes = uint32(len(sum))
	if c.rounds == 0 || c.threads == 0 || c.hashBytes == 0 || c.memoryKiB > costLimit.memoryKiB ||
		c.rounds > costLimit.rounds || c.threads > costLimit.threads || c.hashBytes > costLimit.hashBytes {
		return c, nil, nil, errNotAHash
	}
	return c, salt, sum, nil
}

func splitHash(text string) (salt, sum []byte, err error) {
	first, second, _ := strings.Cut(text, "$")
	if salt, err = base64.RawStdEncoding.DecodeString(first); err != nil {
		return nil, nil, err
	}
	sum, err = base64.RawStdEncoding.DecodeString(second)
	return salt, sum, err
}
