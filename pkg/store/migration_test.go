package store_test

import (
	"io/fs"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/db/migrations"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

// What earlier versions have stored of an end is only its reason.
func TestMigration_FindsTheCauseOfEachEndInItsReason(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	migration, err := fs.ReadFile(migrations.Files, "00044_sandbox_end_causes.sql")
	require.NoError(t, err)
	fill := regexp.MustCompile(`(?s)UPDATE sandboxes SET end_cause.*?;`).Find(migration)
	require.NotEmpty(t, fill)
	for _, test := range []struct {
		state  sandbox.State
		reason string
		want   sandbox.EndCause
	}{
		{sandbox.Running, "its time was over", ""},
		{sandbox.Broken, "no disk", ""},
		{sandbox.Killing, "", sandbox.CauseKilled},
		{sandbox.Killing, "its VM ended before it was paused", sandbox.CauseKilled},
		{sandbox.Killing, "its time was over", sandbox.CauseExpired},
		{sandbox.Killing, "not created", sandbox.CauseNotCreated},
		{sandbox.Killed, "", sandbox.CauseKilled},
		{sandbox.Killed, "killed by its team", sandbox.CauseKilled},
		{sandbox.Killed, "its time was over", sandbox.CauseExpired},
		{sandbox.Killed, "not created", sandbox.CauseNotCreated},
		{sandbox.Killed, "ended on its host", sandbox.CauseEndedOnHost},
		{sandbox.Killed, "QEMU ended: signal: killed", sandbox.CauseEndedOnHost},
		{sandbox.Killed, "its host was retired", sandbox.CauseHostRetired},
		{sandbox.Failed, "not created", sandbox.CauseNotCreated},
		{sandbox.Failed, "its host was retired", sandbox.CauseHostRetired},
	} {
		stored := f.insert(t, f.creating())
		f.exec(t, `UPDATE sandboxes SET state = $2, reason = $3 WHERE id = $1`, stored.ID, test.state, test.reason)
		f.exec(t, string(fill))
		stored, err := f.Get(t.Context(), stored.ID)
		require.NoError(t, err)
		require.Equal(t, test.want, stored.EndCause, "%s: %s", test.state, test.reason)
	}
}
