package secrets_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
	"git.omukk.dev/wrenn/sandbox/pkg/service/secrets"
	"git.omukk.dev/wrenn/sandbox/pkg/service/servicetest"
)

// noQueue takes jobs that nothing works on.
type noQueue struct{}

func (noQueue) InsertTx(context.Context, pgx.Tx, river.JobArgs, *river.InsertOpts) (*rivertype.JobInsertResult, error) {
	return &rivertype.JobInsertResult{}, nil
}

func newSecrets(t *testing.T, f fixture) *secrets.Service {
	t.Helper()
	keyring, err := seal.NewKeyring(make([]byte, 32))
	require.NoError(t, err)
	return secrets.New(f.Pool, keyring, noQueue{}, slog.New(slog.DiscardHandler))
}

// The type, the resource and the data of each event of secrets.
func TestEvents_AreToldOfEachChangeOfASecret(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := newSecrets(t, f)
	made, err := s.Create(t.Context(), f.Team, secrets.NewSecret{Name: "Token", Value: "one"})
	require.NoError(t, err)
	_, err = s.Create(t.Context(), f.Team, secrets.NewSecret{Name: "TOKEN", Value: "two"})
	require.Equal(t, fault.Conflict, fault.CodeOf(err))
	_, err = s.Update(t.Context(), f.Team, "token", "two", nil)
	require.NoError(t, err)
	_, err = s.Update(t.Context(), f.Team, made.ID, "two", map[string]string{"for": "a test"})
	require.NoError(t, err)
	require.NoError(t, s.Delete(t.Context(), f.Team, "token"))
	require.Equal(t, fault.NotFound, fault.CodeOf(s.Delete(t.Context(), f.Team, "token")))
	require.Equal(t, []string{
		"secret.created " + made.ID + ` {"name": "token", "version": 1}`,
		"secret.updated " + made.ID + ` {"name": "token", "version": 2}`,
		"secret.updated " + made.ID + ` {"name": "token", "version": 3}`,
		"secret.deleted " + made.ID + ` {"name": "token", "version": 3}`,
	}, servicetest.Told(t, f.Pool, f.Team))
}
