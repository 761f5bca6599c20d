package workload

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	// Lifetime is how long a token is valid.
	Lifetime = 5 * time.Minute
	// Leeway is how much the clocks of hosts and verifiers may differ.
	Leeway = 30 * time.Second
)

var (
	// ErrNoKey is returned while the signer has no key.
	ErrNoKey = errors.New("no key to sign identity tokens with is held")
	// ErrNoToken is returned for a token that a sandbox does not have.
	ErrNoToken = errors.New("the sandbox has no identity token of this name")
)

// Claims are a token's claims besides the registered ones.
type Claims struct {
	TeamID     string `json:"team_id"`
	SandboxID  string `json:"sandbox_id"`
	TemplateID string `json:"template_id"`
}

// Signer makes tokens with its current key. The zero value has none.
type Signer struct{ held atomic.Pointer[Key] }

// Set replaces the key.
func (s *Signer) Set(key *Key) { s.held.Store(key) }

// KeyID returns the key's ID; empty for none.
func (s *Signer) KeyID() string {
	if key := s.held.Load(); key != nil {
		return key.ID
	}
	return ""
}

// Sign makes a sandbox's token of a name. Each call makes another token.
func (s *Signer) Sign(sandboxID string, identity Identity, name string, now time.Time) (string, error) {
	token, has := identity.Tokens[name]
	if !has {
		return "", ErrNoToken
	}
	key := s.held.Load()
	if key == nil || !now.Before(key.NotAfter) {
		return "", ErrNoKey
	}
	subject, err := Subject(key.Issuer, identity.TeamID, sandboxID)
	if err != nil {
		return "", err
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: Algorithm, Key: jose.JSONWebKey{Key: key.private, KeyID: key.ID}},
		new(jose.SignerOptions).WithType("JWT"))
	if err != nil {
		return "", fmt.Errorf("sign an identity token: %w", err)
	}
	signed, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: key.Issuer, Subject: subject, Audience: jwt.Audience{token.Audience}, ID: rand.Text(),
		IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now.Add(-Leeway)), Expiry: jwt.NewNumericDate(now.Add(Lifetime)),
	}).Claims(Claims{TeamID: identity.TeamID, SandboxID: sandboxID, TemplateID: identity.TemplateID}).Serialize()
	if err != nil {
		return "", fmt.Errorf("sign an identity token: %w", err)
	}
	return signed, nil
}

// Subject returns the SPIFFE ID of a sandbox.
func Subject(issuer, teamID, sandboxID string) (string, error) {
	domain, err := TrustDomain(issuer)
	if err != nil {
		return "", err
	}
	return "spiffe://" + domain + "/team/" + teamID + "/sandbox/" + sandboxID, nil
}

// TrustDomain returns the domain of an issuer's address, without a port. Hyphens stand for
// the colons of an IPv6 address.
func TrustDomain(issuer string) (string, error) {
	parsed, err := url.Parse(issuer)
	if err != nil || parsed.Hostname() == "" || (parsed.Scheme != "http" && parsed.Scheme != "https") {
		return "", fmt.Errorf("issuer %q: not an address with http or https", issuer)
	}
	return strings.ReplaceAll(strings.ToLower(parsed.Hostname()), ":", "-"), nil
}
