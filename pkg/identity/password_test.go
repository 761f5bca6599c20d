package identity

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/db/dbtest"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

func newService(t *testing.T) *Service {
	t.Helper()
	return newServiceWith(t, nil)
}

func newServiceWith(t *testing.T, sealer Sealer) *Service {
	t.Helper()
	return New(dbtest.Open(t), nil, sealer, slog.New(slog.DiscardHandler), Config{})
}

func TestHash_HoldsItsParametersAndASaltOfItsOwn(t *testing.T) {
	t.Parallel()
	s := &Service{hashing: make(chan struct{}, 1)}
	first, err := s.hashPassword(t.Context(), "correct horse")
	require.NoError(t, err)
	require.Regexp(t, `^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$`, first)
	second, err := s.hashPassword(t.Context(), "correct horse")
	require.NoError(t, err)
	require.NotEqual(t, first, second)
	for password, right := range map[string]bool{"correct horse": true, "Correct horse": false, "": false} {
		matches, outdated, err := s.passwordMatches(t.Context(), password, first)
		require.NoError(t, err)
		require.Equal(t, right, matches, password)
		require.False(t, outdated)
	}
}

func TestHash_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := &Service{hashing: make(chan struct{})} // has no room
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.hashPassword(ctx, "correct horse")
	require.ErrorIs(t, err, context.Canceled)
}

// A hash made with other parameters still works, and is replaced at a login.
func TestLogin_ReplacesAHashWithOutdatedParameters(t *testing.T) {
	t.Parallel()
	s := newService(t)
	weak := cost{memoryKiB: 64, rounds: 1, threads: 1, hashBytes: 16}
	salt := []byte("0123456789abcdef")
	sum, err := s.argon2(t.Context(), "correct horse", salt, weak)
	require.NoError(t, err)
	user, err := s.store.createUser(t.Context(), newAccount{email: "ada@example.com", passwordHash: formatHash(weak, salt, sum)})
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
	hash, err := s.hashPassword(t.Context(), "correct horse")
	require.NoError(t, err)
	out, err := s.store.createUser(t.Context(), newAccount{email: "out@example.com", passwordHash: hash})
	require.NoError(t, err)
	_, err = s.pool.Exec(t.Context(), "UPDATE users SET disabled_at = now() WHERE id = $1", out.ID)
	require.NoError(t, err)
	_, err = s.store.createUser(t.Context(), newAccount{email: "none@example.com"})
	require.NoError(t, err)
	for _, email := range []string{"out@example.com", "none@example.com", "nobody@example.com"} {
		for _, password := range []string{"correct horse", "", strings.Repeat("x", longestPassword+1)} {
			_, err = s.Login(t.Context(), email, password, Client{})
			require.ErrorIs(t, err, errWrongLogin, email)
		}
	}
}

func TestCheckPassword_WantsSomeLengthAndNotTooMuch(t *testing.T) {
	t.Parallel()
	for password, right := range map[string]bool{
		"": false, "123456789": false, "1234567890": true, "ünïcödé123": true, strings.Repeat("x", 256): true, strings.Repeat("x", 257): false,
	} {
		require.Equal(t, right, checkPassword("password", password) == nil, "%d bytes", len(password))
	}
}

func TestEmail_IsOneAddressInOneForm(t *testing.T) {
	t.Parallel()
	got, err := Email("email", " Ada@Example.COM ")
	require.NoError(t, err)
	require.Equal(t, "ada@example.com", got)
	for _, wrong := range []string{"", "ada", "@example.com", "ada@", "Ada <ada@example.com>", "a@b, c@d", "a b@example.com", "a@b\r\nBcc: c@d", "a\x00@b.c", strings.Repeat("a", 251) + "@b.c"} {
		_, err := Email("email", wrong)
		require.True(t, fault.Is(err, fault.Invalid), "%q", wrong)
	}
}

// A stored text is never hashed with parameters beyond costLimit.
func FuzzParseHash(f *testing.F) {
	f.Add(formatHash(currentCost, make([]byte, saltBytes), make([]byte, 32)))
	f.Add("$argon2id$v=19$m=4294967295,t=4294967295,p=255$$")
	f.Add("$argon2i$v=19$m=1,t=1,p=1$AA$AA")
	f.Fuzz(func(t *testing.T, text string) {
		made, salt, sum, err := parseHash(text)
		if err != nil {
			require.ErrorIs(t, err, errNotAHash)
			return
		}
		require.LessOrEqual(t, made.memoryKiB, costLimit.memoryKiB)
		require.LessOrEqual(t, made.rounds, costLimit.rounds)
		again, salt2, sum2, err := parseHash(formatHash(made, salt, sum))
		require.NoError(t, err)
		require.Equal(t, made, again)
		require.Equal(t, salt, salt2)
		require.Equal(t, sum, sum2)
	})
}
