package host

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ErrNoCertificates is returned for a bundle that is not PEM certificates.
var ErrNoCertificates = errors.New("not a bundle of PEM certificates")

// Where Debian keeps the authorities its programs trust: one file of all of
// them, and a directory from which that file is made anew when packages change.
const (
	trustedFile = "/etc/ssl/certs/ca-certificates.crt"
	ownFile     = "/usr/local/share/ca-certificates/wrenn.crt"
)

// Certificates makes every program of the machine trust the authorities in a
// bundle. The zero value works on the machine's own files.
type Certificates struct {
	trusted, own string
}

// CheckCertificates tells whether a bundle can be installed.
func CheckCertificates(bundle []byte) error {
	found := 0
	for rest := bundle; ; found++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("%w: it holds a %q", ErrNoCertificates, block.Type)
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return fmt.Errorf("%w: %w", ErrNoCertificates, err)
		}
	}
	if found == 0 {
		return ErrNoCertificates
	}
	return nil
}

// Install puts a bundle in the place of the one installed before.
func (c Certificates) Install(bundle []byte) error {
	if c.trusted == "" {
		c.trusted, c.own = trustedFile, ownFile
	}
	bundle = append(bytes.TrimSpace(bundle), '\n')
	before, err := os.ReadFile(c.own)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("install certificates: %w", err)
	}
	trusted, err := os.ReadFile(c.trusted)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("install certificates: %w", err)
	}
	if bytes.Equal(before, bundle) && bytes.Contains(trusted, bundle) {
		return nil
	}
	if len(before) > 0 {
		trusted = bytes.Replace(trusted, before, nil, 1)
	}
	if len(trusted) > 0 && !bytes.HasSuffix(trusted, []byte("\n")) {
		trusted = append(trusted, '\n')
	}
	// The own file is last: it says what the other one holds.
	if err := replaceFile(c.trusted, append(trusted, bundle...)); err != nil {
		return fmt.Errorf("install certificates: %w", err)
	}
	if err := replaceFile(c.own, bundle); err != nil {
		return fmt.Errorf("install certificates: %w", err)
	}
	return nil
}

// replaceFile gives a file new content so that readers see the old or the new,
// and everybody may read it.
func replaceFile(path string, content []byte) error {
	const directoryMode, fileMode = 0o755, 0o644
	if err := os.MkdirAll(filepath.Dir(path), directoryMode); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = temporary.Write(content)
	err = errors.Join(err, temporary.Chmod(fileMode), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary.Name()))
	}
	return nil
}
