// Package authority is the internal certificate authority by which control planes
// and hosts authenticate each other.
//
// Every host makes its own key and gets a certificate for it; a control plane issues
// certificates for itself as it needs them. Each side requires a certificate of the
// other's kind: a host's certificate opens nothing at another host. The authority's own
// key is sealed in the database and never leaves the control planes.
package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"time"

	"github.com/google/uuid"
)

const (
	// HostLifetime is how long a host's certificate is valid; hosts renew theirs
	// when two thirds are over.
	HostLifetime = 30 * 24 * time.Hour
	// controlPlaneLifetime is short: these certificates are never revoked.
	controlPlaneLifetime = 24 * time.Hour
	authorityLifetime    = 20 * 365 * 24 * time.Hour
	// clockSkew is the most by which the clocks of two machines may differ.
	clockSkew = 5 * time.Minute
)

// controlPlaneName is the name in the certificates of control planes.
const controlPlaneName = "wrenn://control-plane"

// Authority certifies keys.
type Authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// New makes an authority with a key of its own.
func New() (*Authority, error) {
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: newSerial(), Subject: pkix.Name{CommonName: "Wrenn internal authority"},
		NotBefore: time.Now().Add(-clockSkew), NotAfter: time.Now().Add(authorityLifetime),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the authority's certificate: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read the authority's certificate: %w", err)
	}
	return &Authority{certificate: certificate, key: key}, nil
}

// Load makes an authority from the values of Certificate and Key.
func Load(certificate, key []byte) (*Authority, error) {
	parsed, err := x509.ParseCertificate(certificate)
	if err != nil {
		return nil, fmt.Errorf("read the authority's certificate: %w", err)
	}
	private, err := x509.ParseECPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("read the authority's key: %w", err)
	}
	if !private.PublicKey.Equal(parsed.PublicKey) {
		return nil, errors.New("the authority's key is not that of its certificate")
	}
	return &Authority{certificate: parsed, key: private}, nil
}

// Certificate is the authority's own, DER encoded.
func (a *Authority) Certificate() []byte { return a.certificate.Raw }

// Key is the authority's private key, DER encoded.
func (a *Authority) Key() ([]byte, error) { return x509.MarshalECPrivateKey(a.key) }

// NewKey makes a private key.
func NewKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return key, nil
}

// Fingerprint is the SHA-256 sum of a certificate, DER encoded.
func Fingerprint(certificate []byte) []byte {
	sum := sha256.Sum256(certificate)
	return sum[:]
}

// RPCName and TrafficName are the TLS server names of a host's RPCs and of the traffic to
// its sandboxes.
func RPCName(hostID uuid.UUID) string { return "rpc." + hostID.String() + ".host.wrenn" }

// TrafficName is explained at RPCName.
func TrafficName(hostID uuid.UUID) string { return "traffic." + hostID.String() + ".host.wrenn" }

// IssueHost issues a host's certificate. Only the key of the request is used, and the
// signature that proves that the host has it.
func (a *Authority) IssueHost(hostID uuid.UUID, request []byte) ([]byte, time.Time, error) {
	parsed, err := x509.ParseCertificateRequest(request)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("read a certificate request: %w", err)
	}
	if err := parsed.CheckSignature(); err != nil {
		return nil, time.Time{}, fmt.Errorf("check a certificate request: %w", err)
	}
	key, isECDSA := parsed.PublicKey.(*ecdsa.PublicKey)
	if !isECDSA || key.Curve != elliptic.P256() {
		return nil, time.Time{}, errors.New("the key of a certificate request must be an ECDSA key on P-256")
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "host " + hostID.String()}, DNSNames: []string{RPCName(hostID), TrafficName(hostID)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	certificate, err := a.issue(template, key, HostLifetime)
	if err != nil {
		return nil, time.Time{}, err
	}
	return certificate, template.NotAfter, nil
}

// issueControlPlane issues a certificate for a key of this process.
func (a *Authority) issueControlPlane(key *ecdsa.PublicKey) ([]byte, error) {
	name, err := url.Parse(controlPlaneName)
	if err != nil {
		return nil, err
	}
	return a.issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: "control plane"}, URIs: []*url.URL{name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, key, controlPlaneLifetime)
}

func (a *Authority) issue(template *x509.Certificate, key *ecdsa.PublicKey, lifetime time.Duration) ([]byte, error) {
	template.SerialNumber = newSerial()
	template.NotBefore, template.NotAfter = time.Now().Add(-clockSkew), time.Now().Add(lifetime)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.BasicConstraintsValid = true
	certificate, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key, a.key)
	if err != nil {
		return nil, fmt.Errorf("certify a key: %w", err)
	}
	return certificate, nil
}

// newSerial returns a random serial number of 128 bits.
func newSerial() *big.Int {
	const serialBits = 128
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits))
	if err != nil {
		panic(err) // never fails
	}
	return serial.Add(serial, big.NewInt(1))
}
