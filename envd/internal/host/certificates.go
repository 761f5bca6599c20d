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

// Debian's file of all trusted authorities, and a file in the directory from which
// update-ca-certificates regenerates it.
const (
	trustedFile = "/etc/ssl/certs/ca-certificates.crt"
	ownFile     = "/usr/local/share/ca-certificates/wrenn.crt"
)

// Certificates makes the guest's programs trust the authorities in a bundle. The zero
// value works on the guest's files.
type Certificates struct {
	trusted, own string
}

// CheckCertificates validates a bundle.
func CheckCertificates(bundle []byte) error {
	found := 0
	for rest := bundle; ; found++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("%w: it contains a %q", ErrNoCertificates, block.Type)
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

// Install installs a bundle in place of the last one.
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
	// The own file is written last: it records what the other one contains.
	if err := replaceFile(c.trusted, append(trusted, bundle...)); err != nil {
		return fmt.Errorf("install certificates: %w", err)
	}
	if err := replaceFile(c.own, bundle); err != nil {
		return fmt.Errorf("install certificates: %w", err)
	}
	return nil
}

// replaceFile replaces a file's content atomically and makes it readable by all users.
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
