package identity

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/argon2"

	"git.omukk.dev/wrenn/sandbox/pkg/identity/passwords"
)

// A hash made with other parameters still works, and is replaced at a login.
func TestLogin_ReplacesAHashWithOutdatedParameters(t *testing.T) {
	t.Parallel()
	s := newService(t)
	sum := argon2.IDKey([]byte("correct horse"), []byte("0123456789abcdef"), 1, 64, 1, 16)
	weak := "$argon2id$v=19$m=64,t=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg$" + base64.RawStdEncoding.EncodeToString(sum)
	user, err := s.store.createUser(t.Context(), newAccount{email: "ada@example.com", passwordHash: weak})
	require.NoError(t, err)
	_, err = s.Login(t.Context(), "ada@example.com", "wrong horse", Client{})
	require.ErrorIs(t, err, errWrongLogin)
	require.Equal(t, user.passwordHash, storedHash(t, s, user.ID))
	for range 2 {
		_, err = s.Login(t.Context(), "ada@example.com", "correct horse", Client{})
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(storedHash(t, s, user.ID), "$argon2id$v=19$m=19456,t=2,p=1$"))
	}
}

func storedHash(t *testing.T, s *Service, userID uuid.UUID) string {
	t.Helper()
	user, err := s.store.user(t.Context(), userID)
	require.NoError(t, err)
	return user.passwordHash
}

func TestLogin_RefusesUsersWhoAreDisabledOrHaveNoPassword(t *testing.T) {
	t.Parallel()
	s := newService(t)
	hash, err := s.hasher.Hash(t.Context(), "correct horse")
	require.NoError(t, err)
	out, err := s.store.createUser(t.Context(), newAccount{email: "out@example.com", passwordHash: hash})
	require.NoError(t, err)
	_, err = s.pool.Exec(t.Context(), "UPDATE users SET disabled_at = now() WHERE id = $1", out.ID)
	require.NoError(t, err)
	_, err = s.store.createUser(t.Context(), newAccount{email: "none@example.com"})
	require.NoError(t, err)
	for _, email := range []string{"out@example.com", "none@example.com", "nobody@example.com"} {
		for _, password := range []string{"correct horse", "", strings.Repeat("x", passwords.Longest+1)} {
			_, err = s.Login(t.Context(), email, password, Client{})
			require.ErrorIs(t, err, errWrongLogin, email)
		}
	}
}
