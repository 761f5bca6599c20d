package identity

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
	shortestPassword = 10  // characters
	longestPassword  = 256 // bytes
	// hashingAtOnce bounds the memory that hashing takes.
	hashingAtOnce = 4
	saltBytes     = 16
)

// cost is what it takes to hash a password, by argon2id's parameters.
type cost struct {
	memoryKiB uint32
	rounds    uint32
	threads   uint8
	hashBytes uint32
}

// currentCost is what OWASP recommends at least. A change of it reaches each
// password at its next use.
var currentCost = cost{memoryKiB: 19 * 1024, rounds: 2, threads: 1, hashBytes: 32}

// costLimit keeps a hash of somebody who can write to the database from taking
// the machine down.
var costLimit = cost{memoryKiB: 1 << 20, rounds: 16, threads: 16, hashBytes: 64}

func checkPassword(field, password string) error {
	switch {
	case utf8.RuneCountInString(password) < shortestPassword:
		return fault.New(fault.Invalid, "%s must have at least %d characters", field, shortestPassword)
	case len(password) > longestPassword:
		return fault.New(fault.Invalid, "%s must have at most %d bytes", field, longestPassword)
	}
	return nil
}

// hashPassword waits for its turn and returns the hash with its parameters.
func (s *Service) hashPassword(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // never fails
	sum, err := s.argon2(ctx, password, salt, currentCost)
	if err != nil {
		return "", err
	}
	return formatHash(currentCost, salt, sum), nil
}

// passwordMatches says whether a password is the one of a hash, and whether that
// hash should be made anew.
func (s *Service) passwordMatches(ctx context.Context, password, hash string) (matches, outdated bool, err error) {
	made, salt, wanted, err := parseHash(hash)
	if err != nil {
		return false, false, err
	}
	sum, err := s.argon2(ctx, password, salt, made)
	if err != nil {
		return false, false, err
	}
	return subtle.ConstantTimeCompare(sum, wanted) == 1, made != currentCost, nil
}

func (s *Service) argon2(ctx context.Context, password string, salt []byte, c cost) ([]byte, error) {
	select {
	case s.hashing <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait to hash a password: %w", ctx.Err())
	}
	defer func() { <-s.hashing }()
	return argon2.IDKey([]byte(password), salt, c.rounds, c.memoryKiB, c.threads, c.hashBytes), nil
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
