package authority

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
)

// NewRequest makes a certificate request for a key.
func NewRequest(key *ecdsa.PrivateKey) ([]byte, error) {
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate request: %w", err)
	}
	return request, nil
}

// Sign signs a request for a renewal with the old key.
func Sign(old *ecdsa.PrivateKey, request []byte) ([]byte, error) {
	digest := renewalDigest(request)
	signature, err := ecdsa.SignASN1(rand.Reader, old, digest[:])
	if err != nil {
		return nil, fmt.Errorf("sign a renewal: %w", err)
	}
	return signature, nil
}

// Verify checks the signature of Sign with the certificate that is to be renewed.
func Verify(certificate, request, signature []byte) error {
	parsed, err := x509.ParseCertificate(certificate)
	if err != nil {
		return fmt.Errorf("read the certificate to renew: %w", err)
	}
	key, isECDSA := parsed.PublicKey.(*ecdsa.PublicKey)
	digest := renewalDigest(request)
	if !isECDSA || !ecdsa.VerifyASN1(key, digest[:], signature) {
		return errors.New("the renewal is not signed with the key of its certificate")
	}
	return nil
}

// renewalDigest has a prefix, so that the signature is valid for a renewal only.
func renewalDigest(request []byte) [sha256.Size]byte {
	return sha256.Sum256(append([]byte("wrenn host certificate renewal\n"), request...))
}
