package teams_test

import (
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/servicetest"
	"git.omukk.dev/wrenn/sandbox/pkg/service/teams"
)

func TestChange_RecordsWhatHasChanged(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	settings := teams.NewSettings(f.Pool)
	demand, name, nothing := sandbox.VM, "science", sandbox.Isolation("")
	for _, change := range []teams.Change{{Isolation: &demand}, {Isolation: &demand}, {Name: &name}, {}, {Isolation: &nothing}} {
		_, err := settings.Change(t.Context(), f.Team, change)
		require.NoError(t, err)
	}
	page, next, err := settings.List(t.Context(), uuid.Nil, 10)
	require.NoError(t, err)
	require.Len(t, page, 1)
	require.Equal(t, uuid.Nil, next)
	require.Equal(t, "science", page[0].Name)
	require.Empty(t, page[0].Isolation)
	require.Equal(t, []string{
		fmt.Sprintf(`team.updated %s {"name": "Default", "isolation": "vm"}`, f.Team),
		fmt.Sprintf(`team.updated %s {"name": "science", "isolation": "vm"}`, f.Team),
		fmt.Sprintf(`team.updated %s {"name": "science", "isolation": "any"}`, f.Team),
	}, servicetest.Told(t, f.Pool, f.Team), "none for what was so already")
	invalid, unnamed := sandbox.Isolation("container"), ""
	for _, change := range []teams.Change{{Isolation: &invalid}, {Name: &unnamed}} {
		_, err = settings.Change(t.Context(), f.Team, change)
		require.True(t, fault.Is(err, fault.Invalid), err)
	}
	_, err = settings.Change(t.Context(), uuid.New(), teams.Change{Isolation: &demand})
	require.True(t, fault.Is(err, fault.NotFound), err)
}
