package workload

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Algorithm signs tokens.
const Algorithm = jose.ES256

// errKey is returned for what is not a P-256 key.
var errKey = errors.New("not a P-256 key")

// Key signs tokens. It is held in memory only.
type Key struct {
	// ID is the thumbprint of the public key. Source: RFC 7638.
	ID string
	// Issuer is the address of the control plane that publishes the public key.
	Issuer string
	// NotAfter is the time after which it signs nothing.
	NotAfter time.Time

	private *ecdsa.PrivateKey
}

// NewKey makes a key.
func NewKey(issuer string, notAfter time.Time) (*Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	return newKey(private, issuer, notAfter)
}

func newKey(private *ecdsa.PrivateKey, issuer string, notAfter time.Time) (*Key, error) {
	thumbprint, err := (&jose.JSONWebKey{Key: private.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("name a signing key: %w", err)
	}
	id := base64.RawURLEncoding.EncodeToString(thumbprint)
	return &Key{ID: id, Issuer: issuer, NotAfter: notAfter, private: private}, nil
}

// ParseKey reads what Marshal has written. The key's ID is computed from the key.
func ParseKey(pkcs8 []byte, issuer string, notAfter time.Time) (*Key, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return nil, errKey // the parser's error may contain parts of the key
	}
	private, is := parsed.(*ecdsa.PrivateKey)
	if !is || private.Curve != elliptic.P256() {
		return nil, errKey
	}
	if _, err := TrustDomain(issuer); err != nil {
		return nil, err
	}
	return newKey(private, issuer, notAfter)
}

// Marshal returns the private key as PKCS #8, DER encoded. It is a secret.
func (k *Key) Marshal() ([]byte, error) {
	encoded, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return nil, fmt.Errorf("encode a signing key: %w", err)
	}
	return encoded, nil
}

// Public returns the public key as SubjectPublicKeyInfo, DER encoded.
func (k *Key) Public() ([]byte, error) {
	encoded, err := x509.MarshalPKIXPublicKey(k.private.Public())
	if err != nil {
		return nil, fmt.Errorf("encode a public key: %w", err)
	}
	return encoded, nil
}

// LogValue keeps the key out of logs.
func (k *Key) LogValue() slog.Value { return slog.StringValue(k.ID) }

// Format keeps the key out of messages.
func (k *Key) Format(state fmt.State, _ rune) { fmt.Fprintf(state, "signing key %s", k.ID) }

// PublishedKey returns a public key as verifiers read it.
func PublishedKey(id string, public []byte) (jose.JSONWebKey, error) {
	parsed, err := x509.ParsePKIXPublicKey(public)
	if err != nil {
		return jose.JSONWebKey{}, fmt.Errorf("read public key %s: %w", id, err)
	}
	if key, is := parsed.(*ecdsa.PublicKey); !is || key.Curve != elliptic.P256() {
		return jose.JSONWebKey{}, fmt.Errorf("read public key %s: %w", id, errKey)
	}
	return jose.JSONWebKey{Key: parsed, KeyID: id, Algorithm: string(Algorithm), Use: "sig"}, nil
}
