package cpserver

import (
	"context"
	"fmt"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/channels"
	"git.omukk.dev/wrenn/sandbox/pkg/identity"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
	"git.omukk.dev/wrenn/sandbox/pkg/service/fleet"
	"git.omukk.dev/wrenn/sandbox/pkg/service/secrets"
)

const (
	// keyPoll is how soon other secret keys in the files are noticed.
	keyPoll = time.Second
	// resealInterval is how often the stores are searched for values that another
	// control plane has sealed with an older key meanwhile.
	resealInterval = 10 * time.Minute
)

// readKeys reads the secret keys. What tokens are derived from and what secrets are
// sealed with are derived from the newest key, each for itself.
func (s *server) readKeys(context.Context) error {
	keys, err := s.keysInFiles()
	if err != nil {
		return err
	}
	if s.tokens, err = auth.NewTokens(keys[0]); err != nil {
		return err
	}
	s.keyring, err = seal.NewKeyring(keys[0], keys[1:]...)
	return err
}

func (s *server) keysInFiles() ([][]byte, error) {
	keys, err := seal.ReadKeys(s.config.SecretKeyFile, s.config.OldSecretKeyFiles...)
	if err != nil {
		return nil, fmt.Errorf("WRENN_SECRET_KEY_FILE, WRENN_OLD_SECRET_KEY_FILES: %w", err)
	}
	return keys, nil
}

// startKeys follows changes of the files with the secret keys.
func (s *server) startKeys(context.Context) error {
	s.api.Keys = secrets.NewKeys(s.pool, s.keyring)
	s.parts.Background("follow secret keys", s.followKeys)
	return nil
}

// followKeys takes other keys as soon as they are in the files, and seals with the
// newest what was sealed with another one.
func (s *server) followKeys(ctx context.Context) {
	poll := time.NewTicker(keyPoll)
	defer poll.Stop()
	s.reseal(ctx)
	resealed, failing := time.Now(), ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
		}
		changed, err := s.takeKeys()
		switch {
		case err != nil && err.Error() != failing:
			s.log.Error("read the secret keys again; those from before stay in use", "error", err)
			failing = err.Error()
		case err == nil:
			failing = ""
		}
		if changed || time.Since(resealed) > resealInterval {
			s.reseal(ctx)
			resealed = time.Now()
		}
	}
}

// takeKeys says whether the newest key in the files is another one than before.
func (s *server) takeKeys() (changed bool, err error) {
	keys, err := s.keysInFiles()
	if err != nil {
		return false, err
	}
	before := s.keyring.NewestKey()
	if err := s.keyring.Use(keys[0], keys[1:]...); err != nil {
		return false, err
	}
	if s.keyring.NewestKey() == before {
		return false, nil
	}
	if err := s.tokens.Use(keys[0]); err != nil {
		return false, err
	}
	s.log.Info("the secret key was rotated", "key", s.keyring.NewestKey(), "keys", len(keys))
	return true, nil
}

// reseal seals with the newest key what is sealed with another one.
func (s *server) reseal(ctx context.Context) {
	for what, store := range map[string]seal.Store{
		"channels":              channels.NewSealedConfigs(s.pool),
		"second factors":        identity.NewSecondFactors(s.pool),
		"secrets":               secrets.NewSealed(s.pool),
		"certificate authority": fleet.NewAuthorityKeys(s.pool),
	} {
		count, err := s.keyring.Rotate(ctx, store)
		if err != nil && ctx.Err() == nil {
			s.log.Error("seal again with the newest key", "what", what, "error", err)
		}
		if count > 0 {
			s.log.Info("sealed again with the newest key", "what", what, "count", count)
		}
	}
}
