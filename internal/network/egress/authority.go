package egress

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"
)

const (
	authorityLifetime = 10 * 365 * 24 * time.Hour // a sandbox may be paused for years
	leafLifetime      = 7 * 24 * time.Hour
	// clockSkew allows for a guest whose clock is not set yet.
	clockSkew = 24 * time.Hour
	maxLeaves = 256
)

var (
	errNoServerName       = errors.New("the client named no server")
	errMalformedAuthority = errors.New("not an authority's certificate and key")
)

// Authority issues the certificates that the gateway shows to one sandbox's guest for the
// domains that its rules name. Its key opens that guest's requests, so each sandbox has
// an authority of its own, whose key stays on the host.
type Authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	leafKey     *ecdsa.PrivateKey

	mutex  sync.Mutex
	leaves map[string]*tls.Certificate
}

// NewAuthority makes an authority of its own for a sandbox.
func NewAuthority() (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make an authority's key: %w", err)
	}
	template := certificate("Wrenn sandbox egress", authorityLifetime)
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.MaxPathLenZero = true
	template.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make an authority: %w", err)
	}
	return openAuthority(der, key)
}

// openAuthority also makes the key of the certificates that the authority will issue. It
// is not stored: the guest trusts every certificate of the authority.
func openAuthority(der []byte, key *ecdsa.PrivateKey) (*Authority, error) {
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read an authority: %w", err)
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a certificate's key: %w", err)
	}
	return &Authority{certificate: parsed, key: key, leafKey: leafKey, leaves: map[string]*tls.Certificate{}}, nil
}

const (
	certificateBlock = "CERTIFICATE"
	keyBlock         = "PRIVATE KEY"
)

// Certificate is the certificate that the guest must trust, in PEM.
func (a *Authority) Certificate() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: a.certificate.Raw})
}

// Marshal returns the authority with its key, for ParseAuthority: a guest whose memory
// is restored trusts the same authority as before.
func (a *Authority) Marshal() ([]byte, error) {
	key, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return nil, fmt.Errorf("write an authority's key: %w", err)
	}
	return append(a.Certificate(), pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: key})...), nil
}

// ParseAuthority reads what Marshal wrote.
func ParseAuthority(marshalled []byte) (*Authority, error) {
	certificate, rest := pem.Decode(marshalled)
	key, _ := pem.Decode(rest)
	if certificate == nil || key == nil {
		return nil, errMalformedAuthority
	}
	parsed, err := x509.ParsePKCS8PrivateKey(key.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read an authority's key: %w", err)
	}
	signer, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errMalformedAuthority
	}
	return openAuthority(certificate.Bytes, signer)
}

func certificate(name string, lifetime time.Duration) *x509.Certificate {
	serial := make([]byte, 16)
	_, _ = rand.Read(serial) // it never fails
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-clockSkew),
		NotAfter:     time.Now().Add(lifetime),
	}
}

func (a *Authority) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			name, ok := normaliseDomain(hello.ServerName)
			if !ok {
				return nil, errNoServerName
			}
			return a.leaf(name)
		},
	}
}

func (a *Authority) leaf(name string) (*tls.Certificate, error) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if known := a.leaves[name]; known != nil && time.Until(known.Leaf.NotAfter) > clockSkew {
		return known, nil
	}
	template := certificate("", leafLifetime)
	template.DNSNames = []string{name}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, a.leafKey.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("issue a certificate for %s: %w", name, err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read back a certificate for %s: %w", name, err)
	}
	if len(a.leaves) >= maxLeaves {
		clear(a.leaves)
	}
	issued := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: a.leafKey, Leaf: leaf}
	a.leaves[name] = issued
	return issued, nil
}
