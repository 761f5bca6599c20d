package identity

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/identity/factors"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
)

func TestSecondFactor_TakesEachCodeOnce(t *testing.T) {
	t.Parallel()
	keyring, err := seal.NewKeyring(bytes.Repeat([]byte{1}, seal.KeySize))
	require.NoError(t, err)
	s := newServiceWith(t, keyring)
	by := s.admin(t)
	user, err := s.User(t.Context(), by.UserID)
	require.NoError(t, err)
	enrolment, err := s.EnrolTOTP(t.Context(), by)
	require.NoError(t, err)
	confirmed := time.Now().Unix() / factors.StepSeconds
	_, err = s.ConfirmTOTP(t.Context(), by, totpCode(t, enrolment, confirmed), Client{})
	require.NoError(t, err)

	signIn := func(step int64) error {
		in, err := s.Login(t.Context(), user.Email, "correct horse", Client{})
		require.NoError(t, err)
		require.NotEmpty(t, in.Challenge)
		_, err = s.SecondFactor(t.Context(), in.Challenge, totpCode(t, enrolment, step), Client{})
		return err
	}
	require.ErrorIs(t, signIn(confirmed), errWrongCode, "the code that confirmed")
	require.ErrorIs(t, signIn(confirmed-1), errWrongCode, "an earlier code")
	require.NoError(t, signIn(confirmed+1))
	require.ErrorIs(t, signIn(confirmed+1), errWrongCode, "a second time")
}
