package hostagent

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
)

// membership makes this machine a host of a fleet. It is stored as one file, so that the
// key and the certificate always match.
type membership struct {
	HostID uuid.UUID `json:"hostID"`
	// Server is the URL of the control plane's API.
	Server string `json:"server"`
	// Listen is the address on which the agent listens for control planes.
	Listen string `json:"listen"`
	// Key, Certificate and Authority are DER encoded.
	Key         []byte `json:"key"`
	Certificate []byte `json:"certificate"`
	Authority   []byte `json:"authority"`
}

func membershipPath(dataDir string) string { return filepath.Join(dataDir, "membership.json") }

// readMembership returns nil if this machine has not joined a fleet.
func readMembership(dataDir string) (*membership, error) {
	content, err := os.ReadFile(membershipPath(dataDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // nil means that it has not joined
	}
	if err != nil {
		return nil, fmt.Errorf("read membership: %w", err)
	}
	var m membership
	if err := json.Unmarshal(content, &m); err != nil {
		return nil, fmt.Errorf("read membership: %s: %w", membershipPath(dataDir), err)
	}
	return &m, nil
}

// write replaces the file atomically. Only root can read it.
func (m *membership) write(dataDir string) error {
	content, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(dataDir, "membership-*.new")
	if err != nil {
		return fmt.Errorf("write membership: %w", err)
	}
	_, err = file.Write(append(content, '\n'))
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return errors.Join(fmt.Errorf("write membership: %w", err), os.Remove(file.Name()))
	}
	if err := os.Rename(file.Name(), membershipPath(dataDir)); err != nil {
		return errors.Join(fmt.Errorf("write membership: %w", err), os.Remove(file.Name()))
	}
	return nil
}

func (m *membership) key() (*ecdsa.PrivateKey, error) {
	key, err := x509.ParseECPrivateKey(m.Key)
	if err != nil {
		return nil, fmt.Errorf("read the host's key: %w", err)
	}
	return key, nil
}

// pair is the key and its certificate for a TLS server.
func (m *membership) pair() (*tls.Certificate, error) {
	key, err := m.key()
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{m.Certificate}, PrivateKey: key}, nil
}

// renewAt is when two thirds of the certificate's lifetime have passed.
func (m *membership) renewAt() (time.Time, error) {
	certificate, err := x509.ParseCertificate(m.Certificate)
	if err != nil {
		return time.Time{}, fmt.Errorf("read the host's certificate: %w", err)
	}
	lifetime := certificate.NotAfter.Sub(certificate.NotBefore)
	return certificate.NotBefore.Add(lifetime * 2 / 3), nil
}
