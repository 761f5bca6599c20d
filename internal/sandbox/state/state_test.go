package state

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTransitions_AreTheseAndNoOthers(t *testing.T) {
	t.Parallel()
	allowed := map[[2]State]bool{
		{Creating, Running}: true, {Creating, Killing}: true,
		{Running, Pausing}: true, {Running, Killing}: true,
		{Pausing, Paused}: true, {Pausing, Running}: true, {Pausing, Failed}: true,
		{Paused, Resuming}: true, {Paused, Killing}: true,
		{Resuming, Running}: true, {Resuming, Paused}: true, {Resuming, Failed}: true,
		{Running, Snapshotting}: true, {Snapshotting, Running}: true, {Snapshotting, Paused}: true, {Snapshotting, Failed}: true,
		{Running, Updating}: true, {Updating, Running}: true,
		{Failed, Pausing}: true, {Failed, Killing}: true, {Killing, Gone}: true,
	}
	for _, from := range All() {
		for _, to := range All() {
			require.Equal(t, allowed[[2]State{from, to}], from.CanBecome(to), "%s to %s", from, to)
		}
	}
}

func TestTable_IsConsistent(t *testing.T) {
	t.Parallel()
	require.NoError(t, table.Check())
}

func TestTransitions_EverySettledStateCanBeKilled(t *testing.T) {
	t.Parallel()
	for _, from := range All() {
		if from.Settled() && from != Gone {
			require.True(t, from.CanBecome(Killing), "%s", from)
		}
	}
}
