// Package seal encrypts secrets at rest. A sealed value opens only with the root key
// that sealed it, and only for the purpose that it was sealed for.
//
// A sealed value contains the ID of its key. The newest key seals; older ones open until
// Rotate has sealed every value again.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
)

// KeySize is the size of a root key in bytes.
const KeySize = 32

// A sealed value is: format, ID of the root key, salt, nonce, ciphertext and tag.
// The salt gives each value an AES key of its own, so that random nonces never repeat
// under one key.
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

// The labels separate what is derived from a root key.
const (
	idLabel  = "wrenn seal: key ID"
	keyLabel = "wrenn seal: AES-256-GCM"
)

// ErrSealed says that a value cannot be opened: it was changed, or sealed for another
// purpose or with a key that the keyring does not have.
var ErrSealed = errors.New("sealed value cannot be opened")

// KeyID identifies a root key. The key cannot be computed from it.
type KeyID [keyIDSize]byte

func (i KeyID) String() string { return hex.EncodeToString(i[:]) }

// Keyring seals with its newest key and opens with all. It is safe for concurrent use.
type Keyring struct{ set atomic.Pointer[keySet] }

// keySet is immutable.
type keySet struct {
	newest KeyID
	keys   map[KeyID][]byte
}

// NewKeyring makes a keyring of root keys of KeySize bytes.
func NewKeyring(newest []byte, older ...[]byte) (*Keyring, error) {
	ring := &Keyring{}
	if err := ring.Use(newest, older...); err != nil {
		return nil, err
	}
	return ring, nil
}

// Use replaces the root keys. On an error the keyring stays as it is.
func (k *Keyring) Use(newest []byte, older ...[]byte) error {
	set := &keySet{keys: make(map[KeyID][]byte, 1+len(older))}
	for i, key := range append([][]byte{newest}, older...) {
		id, err := IDOf(key)
		if err != nil {
			return err
		}
		set.keys[id] = key
		if i == 0 {
			set.newest = id
		}
	}
	k.set.Store(set)
	return nil
}

// IDOf returns the ID of a root key.
func IDOf(key []byte) (KeyID, error) {
	if len(key) != KeySize {
		return KeyID{}, fmt.Errorf("a root key has %d bytes, not %d", len(key), KeySize)
	}
	id, err := hkdf.Key(sha256.New, key, nil, idLabel, keyIDSize)
	if err != nil {
		return KeyID{}, fmt.Errorf("derive key ID: %w", err)
	}
	return KeyID(id), nil
}

// NewestKey is the ID of the key that Seal uses.
func (k *Keyring) NewestKey() KeyID { return k.set.Load().newest }

// Keys returns the IDs of all keys, in no order.
func (k *Keyring) Keys() []KeyID { return slices.Collect(maps.Keys(k.set.Load().keys)) }

// KeyOf is the ID of the key that sealed a value.
func KeyOf(sealed []byte) (KeyID, error) {
	if len(sealed) < Overhead || sealed[0] != format {
		return KeyID{}, fmt.Errorf("%w: its form is not known", ErrSealed)
	}
	return KeyID(sealed[1:headerSize]), nil
}

// Seal encrypts a secret for a purpose, such as "channel:" and an ID. The purpose is not
// stored; Open needs it again.
func (k *Keyring) Seal(secret []byte, purpose string) ([]byte, error) {
	sealed := make([]byte, headerSize+saltSize+nonceSize, Overhead+len(secret))
	sealed[0] = format
	set := k.set.Load()
	copy(sealed[1:], set.newest[:])
	_, _ = rand.Read(sealed[headerSize:]) // never fails
	box, err := k.box(set.keys[set.newest], sealed)
	if err != nil {
		return nil, err
	}
	return box.Seal(sealed, nonceOf(sealed), secret, bind(sealed, purpose)), nil
}

// Open decrypts a value that was sealed for a purpose.
func (k *Keyring) Open(sealed []byte, purpose string) ([]byte, error) {
	id, err := KeyOf(sealed)
	if err != nil {
		return nil, err
	}
	key, known := k.set.Load().keys[id]
	if !known {
		return nil, fmt.Errorf("%w: there is no key %s", ErrSealed, id)
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

// bind is the additional data that the tag authenticates.
func bind(sealed []byte, purpose string) []byte {
	return append(append([]byte{}, sealed[:headerSize]...), purpose...)
}
