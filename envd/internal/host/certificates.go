package host

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// ErrNoCertificates is returned for a bundle that is not PEM certificates.
var ErrNoCertificates = errors.New("not a bundle of PEM certificates")

// trustStores are files of all trusted authorities: of Debian, Alpine and Arch, of Fedora,
// of SUSE, and of OpenSSL where it was built for /etc/ssl. An image has some of them; one
// that has none gets the first and the last.
var trustStores = []string{
	"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem",
}

// ownFile records what was added to the stores. It is in the directory from which
// update-ca-certificates regenerates Debian's; those of other distributions get a copy
// where they have the directory.
const ownFile = "/usr/local/share/ca-certificates/wrenn.crt"

var anchorDirectories = []string{"/etc/pki/ca-trust/source/anchors", "/etc/pki/trust/anchors"}

// Certificates makes the guest's programs trust the authorities in a bundle. The zero
// value works on the guest's files.
type Certificates struct {
	stores, anchors []string
	own             string
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
	if c.own == "" {
		c = Certificates{stores: trustStores, anchors: anchorDirectories, own: ownFile}
	}
	bundle = append(bytes.TrimSpace(bundle), '\n')
	before, err := os.ReadFile(c.own)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("install certificates: %w", err)
	}
	stores := c.present()
	if len(stores) == 0 {
		stores = []string{c.stores[0], c.stores[len(c.stores)-1]}
	}
	for _, store := range stores {
		if err := replaceTrust(store, before, bundle); err != nil {
			return fmt.Errorf("install certificates: %w", err)
		}
	}
	if bytes.Equal(before, bundle) {
		return nil
	}
	for _, directory := range c.anchors {
		if info, err := os.Stat(directory); err != nil || !info.IsDir() {
			continue
		}
		if err := replaceFile(filepath.Join(directory, filepath.Base(c.own)), bundle); err != nil {
			return fmt.Errorf("install certificates: %w", err)
		}
	}
	// The own file is written last: it records what the stores contain.
	if err := replaceFile(c.own, bundle); err != nil {
		return fmt.Errorf("install certificates: %w", err)
	}
	return nil
}

// present returns the files behind the stores that the image has, each once: several may
// be links to the same.
func (c Certificates) present() []string {
	var found []string
	for _, store := range c.stores {
		file, err := filepath.EvalSymlinks(store)
		if err == nil && !slices.Contains(found, file) {
			found = append(found, file)
		}
	}
	return found
}

// replaceTrust replaces one bundle in a store by another.
func replaceTrust(store string, before, bundle []byte) error {
	trusted, err := os.ReadFile(store)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
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
	return replaceFile(store, append(trusted, bundle...))
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
