// Package seal keeps secrets at rest: what is sealed can be stored where others
// read, and is opened only with the root key, for the purpose it was sealed for.
//
// A sealed value names the key it was sealed with. The newest key seals; older
// ones still open, until Rotate has sealed everything again.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
)

// KeySize is the size of a root key in bytes.
const KeySize = 32

// A sealed value is: format, ID of the root key, salt, nonce, ciphertext and tag.
// The salt gives each value an AES key of its own, so that random nonces never
// run out.
const (
	format     = 1
	keyIDSize  = 8
	saltSize   = 16
	nonceSize  = 12
	tagSize    = 16
	headerSize = 1 + keyIDSize
	// Overhead is how many bytes sealing adds.
	Overhead = headerSize + saltSize + nonceSize + tagSize
)

// The labels keep what is derived from one root key apart.
const (
	idLabel  = "wrenn seal: key ID"
	keyLabel = "wrenn seal: AES-256-GCM"
)

// ErrSealed says that a value cannot be opened: it was changed, was sealed for
// another purpose, or with a key that is not there.
var ErrSealed = errors.New("sealed value cannot be opened")

// KeyID names a root key without telling it.
type KeyID [keyIDSize]byte

// Keyring seals with its newest key and opens with all.
type Keyring struct {
	newest KeyID
	keys   map[KeyID][]byte
}

// NewKeyring takes the root keys, each of KeySize bytes.
func NewKeyring(newest []byte, older ...[]byte) (*Keyring, error) {
	ring := &Keyring{keys: make(map[KeyID][]byte, 1+len(older))}
	for i, key := range append([][]byte{newest}, older...) {
		if len(key) != KeySize {
			return nil, fmt.Errorf("a root key has %d bytes, not %d", len(key), KeySize)
		}
		id, err := hkdf.Key(sha256.New, key, nil, idLabel, keyIDSize)
		if err != nil {
			return nil, fmt.Errorf("derive key ID: %w", err)
		}
		ring.keys[KeyID(id)] = key
		if i == 0 {
			ring.newest = KeyID(id)
		}
	}
	return ring, nil
}

// ReadKeyring reads the root keys from files, the newest first.
func ReadKeyring(newest string, older ...string) (*Keyring, error) {
	keys := make([][]byte, 0, 1+len(older))
	for _, path := range append([]string{newest}, older...) {
		key, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read root key: %w", err)
		}
		if len(key) != KeySize {
			return nil, fmt.Errorf("%s: a root key has %d bytes, not %d", path, len(key), KeySize)
		}
		keys = append(keys, key)
	}
	return NewKeyring(keys[0], keys[1:]...)
}

// NewestKey names the key that Seal uses.
func (k *Keyring) NewestKey() KeyID { return k.newest }

// KeyOf names the key that a value was sealed with.
func KeyOf(sealed []byte) (KeyID, error) {
	if len(sealed) < Overhead || sealed[0] != format {
		return KeyID{}, fmt.Errorf("%w: its form is not known", ErrSealed)
	}
	return KeyID(sealed[1:headerSize]), nil
}

// Seal closes a secret for a purpose, such as "channel:" and an ID. The purpose
// is not stored; only who names it again can open the value.
func (k *Keyring) Seal(secret []byte, purpose string) ([]byte, error) {
	sealed := make([]byte, headerSize+saltSize+nonceSize, Overhead+len(secret))
	sealed[0] = format
	copy(sealed[1:], k.newest[:])
	_, _ = rand.Read(sealed[headerSize:]) // never fails
	box, err := k.box(k.keys[k.newest], sealed)
	if err != nil {
		return nil, err
	}
	return box.Seal(sealed, nonceOf(sealed), secret, bind(sealed, purpose)), nil
}

// Open returns what was sealed for a purpose.
func (k *Keyring) Open(sealed []byte, purpose string) ([]byte, error) {
	id, err := KeyOf(sealed)
	if err != nil {
		return nil, err
	}
	key, known := k.keys[id]
	if !known {
		return nil, fmt.Errorf("%w: its key %x is not there", ErrSealed, id)
	}
	box, err := k.box(key, sealed)
	if err != nil {
		return nil, err
	}
	secret, err := box.Open(nil, nonceOf(sealed), sealed[headerSize+saltSize+nonceSize:], bind(sealed, purpose))
	if err != nil {
		return nil, ErrSealed
	}
	return secret, nil
}

func (*Keyring) box(root, sealed []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, root, sealed[headerSize:headerSize+saltSize], keyLabel, KeySize)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	box, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	return box, nil
}

func nonceOf(sealed []byte) []byte {
	return sealed[headerSize+saltSize : headerSize+saltSize+nonceSize]
}

// bind is what the tag vouches for besides the secret.
func bind(sealed []byte, purpose string) []byte {
	return append(append([]byte{}, sealed[:headerSize]...), purpose...)
}
