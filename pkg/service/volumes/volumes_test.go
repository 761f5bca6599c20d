package volumes_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
	"git.omukk.dev/wrenn/sandbox/pkg/service/volumes"
)

func (f fixture) volume(t *testing.T, name string) volumes.Volume {
	t.Helper()
	made, err := f.Volumes.Create(t.Context(), f.Team, volumes.NewVolume{Name: name})
	require.NoError(t, err)
	return made
}

// failing makes operations fail whose names end so.
func (f fixture) failing(operations string) {
	f.Agent.Before(func(_ context.Context, operation, _ string) error {
		if strings.HasSuffix(operation, operations) {
			return connect.NewError(connect.CodeUnavailable, errors.New("away"))
		}
		return nil
	})
}

func TestCreate_AtOnceMakesNoMoreVolumesThanTheTeamMayHave(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	most := int64(2)
	require.NoError(t, usage.New(f.Pool).SetLimits(t.Context(), f.Team, usage.Limits{MaxVolumes: &most}))
	var made atomic.Int64
	var running sync.WaitGroup
	for i := range 16 {
		running.Go(func() {
			if _, err := f.Volumes.Create(context.Background(), f.Team, volumes.NewVolume{Name: fmt.Sprintf("v%d", i)}); err == nil {
				made.Add(1)
			}
		})
	}
	running.Wait()
	require.Equal(t, most, made.Load())
}

func TestDelete_TakesNoVolumeFromASandboxThatIsBeingCreated(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for round := range 5 {
		v := f.volume(t, fmt.Sprintf("data-%d", round))
		var together sync.WaitGroup
		var created, deleted error
		together.Go(func() {
			_, created = f.Create(context.Background(), f.Team, sandboxes.NewSandbox{
				Template: "base", TimeoutSeconds: 60, VolumeMounts: []sandbox.VolumeMount{{Name: v.Name, Path: "/a"}},
			})
		})
		together.Go(func() { deleted = f.Volumes.Delete(context.Background(), f.Team, v.ID) })
		together.Wait()
		require.NotEqual(t, created == nil, deleted == nil, "%v; %v", created, deleted)
	}
}

func TestVolumes_WhoseHostFailsCanBeMadeAndDeletedLater(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.failing("volume")
	_, err := f.Volumes.Create(t.Context(), f.Team, volumes.NewVolume{Name: "data"})
	require.Equal(t, fault.Unavailable, fault.CodeOf(err), "%v", err)
	f.Agent.Before(nil)
	v := f.volume(t, "data")
	f.failing("volume")
	require.Equal(t, fault.Unavailable, fault.CodeOf(f.Volumes.Delete(t.Context(), f.Team, v.ID)))
	_, err = f.Volumes.Get(t.Context(), f.Team, v.ID)
	require.Equal(t, fault.NotFound, fault.CodeOf(err), "%v", err)
	f.Agent.Before(nil)
	require.NoError(t, f.Volumes.Delete(t.Context(), f.Team, v.ID))
	require.Equal(t, fault.NotFound, fault.CodeOf(f.Volumes.Delete(t.Context(), f.Team, v.ID)))
}

// A volume that a control plane left half made or half deleted is deleted by the control
// plane that follows the host.
func TestDeleteUnfinished_EndsVolumesThatAreHalfMadeOrHalfDeleted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	kept, deleted := f.volume(t, "kept"), f.volume(t, "data")
	f.failing("delete volume")
	require.Error(t, f.Volumes.Delete(t.Context(), f.Team, deleted.ID))
	again := f.volume(t, "data")
	require.NotEqual(t, deleted.ID, again.ID, "the name is free")
	_, err := f.Pool.Exec(t.Context(), `UPDATE volumes SET deleting = true WHERE id = $1`, kept.ID)
	require.NoError(t, err, "as if its maker had died")
	_, err = f.Pool.Exec(t.Context(), `UPDATE volumes SET created_at = now() - interval '1 hour' WHERE deleting`)
	require.NoError(t, err)
	ended := make(chan string, 10)
	f.Agent.Before(func(_ context.Context, operation, id string) error {
		if operation == "delete volume" {
			ended <- id
		}
		return nil
	})
	client := host.NewClient(f.Agent.RPCSocket)
	t.Cleanup(client.Close)
	require.NoError(t, volumes.DeleteUnfinished(t.Context(), f.Pool, f.Host, client, f.Log))
	f.Agent.Before(nil)
	require.ElementsMatch(t, []string{kept.ID, deleted.ID}, []string{<-ended, <-ended}, "on the host too")
	var ids []string
	require.NoError(t, f.Pool.QueryRow(t.Context(), `SELECT array_agg(id) FROM volumes`).Scan(&ids))
	require.Equal(t, []string{again.ID}, ids)
}
