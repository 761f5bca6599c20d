package up

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"git.omukk.dev/wrenn/sandbox/pkg/seal"
)

// ensureSecrets makes the first API key, the installation's admin token and the secret
// key where they are missing. Without the secret key the teams' secrets, which are
// sealed with it, are lost.
func (l Layout) ensureSecrets(owner systemUser) error {
	if err := ensureSecret(l.SecretKey(), seal.NewKey, 0o600, owner.uid, owner.gid); err != nil {
		return err
	}
	if err := ensureSecret(l.adminToken(), newAdminToken, 0o640, 0, owner.gid); err != nil {
		return err
	}
	return ensureSecret(l.APIKey(), newAPIKey, 0o640, 0, owner.gid)
}

// ensureSecret writes a file that does not exist, atomically and with its final owner.
func ensureSecret(path string, generate func() []byte, mode os.FileMode, uid, gid int) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	temporary := path + ".new"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.WriteFile(temporary, generate(), mode); err != nil {
		return fmt.Errorf("write secret: %w", err)
	}
	if err := errors.Join(os.Chmod(temporary, mode), os.Chown(temporary, uid, gid)); err != nil {
		return fmt.Errorf("protect secret: %w", err)
	}
	return os.Rename(temporary, path)
}

func newAdminToken() []byte { return []byte(hex.EncodeToString(seal.NewKey()) + "\n") }

// newAPIKey returns a key of the form that the official SDKs accept.
func newAPIKey() []byte {
	random := make([]byte, 20)
	rand.Read(random) // never fails
	return []byte("e2b_" + hex.EncodeToString(random) + "\n")
}

// ReadAPIKey returns the first team's key of a data directory.
func (l Layout) ReadAPIKey() (string, error) { return readSecret("the API key", l.APIKey()) }

// ReadAdminToken returns the token of a data directory's admin.
func (l Layout) ReadAdminToken() (string, error) {
	return readSecret("the admin token", l.adminToken())
}

func readSecret(what, path string) (string, error) {
	secret, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", what, err)
	}
	return strings.TrimSpace(string(secret)), nil
}
