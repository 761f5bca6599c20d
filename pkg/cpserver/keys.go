package cpserver

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/channels"
	"git.omukk.dev/wrenn/sandbox/pkg/config"
	"git.omukk.dev/wrenn/sandbox/pkg/identity/factors"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
	"git.omukk.dev/wrenn/sandbox/pkg/service/builds"
	"git.omukk.dev/wrenn/sandbox/pkg/service/fleet"
	"git.omukk.dev/wrenn/sandbox/pkg/service/secrets"
)

const (
	// keyPoll is how often the files of the secret keys are read again.
	keyPoll = time.Second
	// resealInterval is how often all stores are searched for values that another
	// control plane has sealed with an older key.
	resealInterval = 10 * time.Minute
)

// secretKeys are the secret keys in the files. Tokens are derived from the newest, and
// secrets are sealed with it.
type secretKeys struct {
	file     string
	oldFiles []string
	tokens   *auth.Tokens
	keyring  *seal.Keyring
}

func readSecretKeys(config config.Config) (*secretKeys, error) {
	k := &secretKeys{file: config.SecretKeyFile, oldFiles: config.OldSecretKeyFiles}
	keys, err := k.read()
	if err != nil {
		return nil, err
	}
	if k.tokens, err = auth.NewTokens(keys[0]); err != nil {
		return nil, err
	}
	k.keyring, err = seal.NewKeyring(keys[0], keys[1:]...)
	return k, err
}

func (k *secretKeys) read() ([][]byte, error) {
	keys, err := seal.ReadKeys(k.file, k.oldFiles...)
	if err != nil {
		return nil, fmt.Errorf("WRENN_SECRET_KEY_FILE, WRENN_OLD_SECRET_KEY_FILES: %w", err)
	}
	return keys, nil
}

// update uses the keys in the files, and returns whether the newest has changed.
func (k *secretKeys) update() (changed bool, err error) {
	keys, err := k.read()
	if err != nil {
		return false, err
	}
	before := k.keyring.NewestKey()
	if err := k.keyring.Use(keys[0], keys[1:]...); err != nil {
		return false, err
	}
	if k.keyring.NewestKey() == before {
		return false, nil
	}
	return true, k.tokens.Use(keys[0])
}

// keyFollower uses changed secret keys without a restart, and seals values again with
// the newest.
type keyFollower struct {
	keys   *secretKeys
	stores map[string]seal.Store
	log    *slog.Logger
}

func newKeyFollower(b *base) *keyFollower {
	return &keyFollower{keys: b.keys, log: b.Log, stores: map[string]seal.Store{
		"channels":              channels.NewSealedConfigs(b.Pool),
		"second factors":        factors.NewSealed(b.Pool),
		"secrets":               secrets.NewSealed(b.Pool),
		"builds":                builds.NewSealed(b.Pool),
		"certificate authority": fleet.NewAuthorityKeys(b.Pool),
	}}
}

func (f *keyFollower) run(ctx context.Context) {
	poll := time.NewTicker(keyPoll)
	defer poll.Stop()
	f.reseal(ctx)
	resealed, failing := time.Now(), ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
		}
		changed, err := f.keys.update()
		switch {
		case err != nil && err.Error() != failing:
			f.log.ErrorContext(ctx, "read the secret keys again; the keys in use are kept", "error", err)
			failing = err.Error()
		case err == nil:
			failing = ""
		}
		if changed {
			f.log.InfoContext(ctx, "the secret key was rotated", "key", f.keys.keyring.NewestKey(), "keys", len(f.keys.keyring.Keys()))
		}
		if changed || time.Since(resealed) > resealInterval {
			f.reseal(ctx)
			resealed = time.Now()
		}
	}
}

// reseal seals values of older keys with the newest.
func (f *keyFollower) reseal(ctx context.Context) {
	for what, store := range f.stores {
		count, err := f.keys.keyring.Rotate(ctx, store)
		if err != nil && ctx.Err() == nil {
			f.log.ErrorContext(ctx, "seal again with the newest key", "what", what, "error", err)
		}
		if count > 0 {
			f.log.InfoContext(ctx, "sealed again with the newest key", "what", what, "count", count)
		}
	}
}
