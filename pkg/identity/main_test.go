package identity

import (
	"log/slog"
	"testing"

	"github.com/pquerna/otp/hotp"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/db/dbtest"
	"git.omukk.dev/wrenn/sandbox/pkg/identity/factors"
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

// totpCode is the code that an authenticator app shows in a time step.
func totpCode(t *testing.T, enrolment factors.Enrolment, step int64) string {
	t.Helper()
	code, err := hotp.GenerateCode(enrolment.Secret, uint64(step))
	require.NoError(t, err)
	return code
}
