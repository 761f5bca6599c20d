package volumes_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/service/servicetest"
	"git.omukk.dev/wrenn/sandbox/pkg/service/volumes"
)

func newVolumes(t *testing.T, f fixture) *volumes.Service {
	t.Helper()
	tokens, err := auth.NewTokens(make([]byte, auth.SecretKeySize))
	require.NoError(t, err)
	return volumes.New(f.Pool, f.Hosts, tokens, 0, slog.New(slog.DiscardHandler))
}

// The type, the resource and the data of each event of volumes.
func TestEvents_AreToldOfVolumesThatCanBeUsed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	v := newVolumes(t, f)
	first, err := v.Create(t.Context(), f.Team, volumes.NewVolume{Name: "Data"})
	require.NoError(t, err)
	_, err = v.Create(t.Context(), f.Team, volumes.NewVolume{Name: "Data"})
	require.Equal(t, fault.Invalid, fault.CodeOf(err))
	f.Agent.Before(func(context.Context, string, string) error {
		return connect.NewError(connect.CodeUnavailable, errors.New("away"))
	})
	_, err = v.Create(t.Context(), f.Team, volumes.NewVolume{Name: "other"})
	require.Error(t, err)
	require.Error(t, v.Delete(t.Context(), f.Team, first.ID))
	f.Agent.Before(nil)
	require.NoError(t, v.Delete(t.Context(), f.Team, first.ID), "the host is back")
	require.Equal(t, []string{
		"volume.created " + first.ID + ` {"name": "Data"}`,
		"volume.deleted " + first.ID + ` {"name": "Data"}`,
	}, servicetest.Told(t, f.Pool, f.Team))
}

func TestEvents_AreToldOfVolumesThatAreLostWithTheirHost(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	v := newVolumes(t, f)
	volume, err := v.Create(t.Context(), f.Team, volumes.NewVolume{Name: "Data"})
	require.NoError(t, err)
	_, err = f.Pool.Exec(t.Context(), `INSERT INTO volumes (id, team_id, host_id, name, deleting) VALUES ('vunfinished000', $1, $2, 'half', true)`, f.Team, f.Host)
	require.NoError(t, err)
	_, err = volumes.Retire(t.Context(), f.Pool, f.Host, "local", false)
	require.Equal(t, fault.Conflict, fault.CodeOf(err))
	told, err := volumes.Retire(t.Context(), f.Pool, f.Host, "local", true)
	require.NoError(t, err)
	require.NoError(t, events.RecordAll(t.Context(), f.Pool, told...))
	require.Equal(t, []string{
		"volume.created " + volume.ID + ` {"name": "Data"}`,
		"volume.deleted " + volume.ID + ` {"name": "Data"}`,
	}, servicetest.Told(t, f.Pool, f.Team))
}
