package identity

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/identity/factors"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
)

func TestRotate_KeepsSecondFactorsWhenTheKeyIsReplaced(t *testing.T) {
	t.Parallel()
	oldKey, newKey := bytes.Repeat([]byte{1}, seal.KeySize), bytes.Repeat([]byte{2}, seal.KeySize)
	before, err := seal.NewKeyring(oldKey)
	require.NoError(t, err)
	s := newServiceWith(t, before)
	by := s.admin(t)
	enrolment, err := s.EnrolTOTP(t.Context(), by)
	require.NoError(t, err)

	during, err := seal.NewKeyring(newKey, oldKey)
	require.NoError(t, err)
	for _, want := range []int{1, 0} {
		count, err := during.Rotate(t.Context(), factors.NewSealed(s.pool))
		require.NoError(t, err)
		require.Equal(t, want, count)
	}
	after, err := seal.NewKeyring(newKey)
	require.NoError(t, err)
	s.sealer = after
	_, err = s.ConfirmTOTP(t.Context(), by, totpCode(t, enrolment, time.Now().Unix()/30), Client{})
	require.NoError(t, err)
}
