package teams_test

import (
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/service/servicetest"
	"git.omukk.dev/wrenn/sandbox/pkg/service/teams"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
	"git.omukk.dev/wrenn/sandbox/pkg/service/volumes"
)

func TestDelete_DeletesWhatTheTeamHasAndTellsOfIt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx, team := t.Context(), uuid.New()
	_, err := f.Pool.Exec(ctx, "INSERT INTO teams (id, slug, name) VALUES ($1, 'second', 'Second')", team)
	require.NoError(t, err)
	_, err = f.Pool.Exec(ctx, "INSERT INTO secrets (id, team_id, name, sealed_value) VALUES ('sec_' || repeat('a', 20), $1, 'token', '')", team)
	require.NoError(t, err)
	s, err := f.Create(ctx, team, sandboxes.NewSandbox{Template: "base", TimeoutSeconds: 60})
	require.NoError(t, err)
	snapshot, err := f.Snapshot(ctx, team, s.ID, templates.NewSnapshot{})
	require.NoError(t, err)
	volume, err := f.Volumes.Create(ctx, team, volumes.NewVolume{Name: "data"})
	require.NoError(t, err)

	deletion := teams.NewDeletion(f.Pool, f.Service, f.Templates, f.Volumes, "default", f.Log)
	require.Equal(t, fault.Conflict, fault.CodeOf(deletion.Delete(ctx, f.Team)), "it is the first team")
	require.Equal(t, fault.Conflict, fault.CodeOf(deletion.Delete(ctx, team)), "it runs a sandbox")
	require.NoError(t, f.Pause(ctx, team, s.ID, sandbox.Pause{}))
	require.NoError(t, deletion.Delete(ctx, team))
	require.Equal(t, fault.NotFound, fault.CodeOf(deletion.Delete(ctx, team)))

	require.Empty(t, f.Agent.States())
	told := servicetest.Told(t, f.Pool, team)
	require.Subset(t, told, []string{
		fmt.Sprintf(`template.deleted %s {"public": false}`, snapshot.ID),
		fmt.Sprintf(`volume.deleted %s {"name": "data"}`, volume.ID),
		`secret.deleted sec_aaaaaaaaaaaaaaaaaaaa {"name": "token", "version": 1}`,
	})
}
