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

// membership is what makes this machine a host of a control plane elsewhere. It
// is one file, so that key and certificate are always of one kind.
type membership struct {
	HostID uuid.UUID `json:"hostID"`
	// Server is where the control plane's API is.
	Server string `json:"server"`
	// Listen is where control planes are listened for.
	Listen string `json:"listen"`
	// Key, Certificate and Authority are DER encoded.
	Key         []byte `json:"key"`
	Certificate []byte `json:"certificate"`
	Authority   []byte `json:"authority"`
}

func membershipPath(dataDir string) string { return filepath.Join(dataDir, "membership.json") }

// readMembership answers nil where this machine has not joined.
func readMembership(dataDir string) (*membership, error) {
	content, err := os.ReadFile(membershipPath(dataDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // as said above
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

// write puts the file in place as a whole, readable for root alone.
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

// pair is the key with its certificate, as a server shows them.
func (m *membership) pair() (*tls.Certificate, error) {
	key, err := m.key()
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{m.Certificate}, PrivateKey: key}, nil
}

// renewAt is when two thirds of the certificate's time are over.
func (m *membership) renewAt() (time.Time, error) {
	certificate, err := x509.ParseCertificate(m.Certificate)
	if err != nil {
		return time.Time{}, fmt.Errorf("read the host's certificate: %w", err)
	}
	lifetime := certificate.NotAfter.Sub(certificate.NotBefore)
	return certificate.NotBefore.Add(lifetime * 2 / 3), nil
}
