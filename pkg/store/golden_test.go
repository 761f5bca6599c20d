package store_test

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/store"
)

var update = flag.Bool("update", false, "write the golden file again")

// lives are sequences of changes of a sandbox that was just inserted.
var lives = map[string][]change{
	"created, paused, resumed and killed": {
		start, claim(sandbox.Pausing, ""), move(store.Outcome{State: sandbox.Paused}),
		claim(sandbox.Resuming, ""), start, claim(sandbox.Killing, sandbox.CauseKilled), move(store.Outcome{State: sandbox.Killed}),
	},
	"expired": {start, claim(sandbox.Killing, sandbox.CauseExpired), move(store.Outcome{State: sandbox.Killed})},
	"never acknowledged": {
		start, move(store.Outcome{State: sandbox.Killing, Cause: sandbox.CauseNotCreated}), move(store.Outcome{State: sandbox.Killed}),
	},
	"given up by the reconciler":        {move(store.Outcome{State: sandbox.Failed, Cause: sandbox.CauseNotCreated})},
	"host retired while it was created": {move(store.Outcome{State: sandbox.Failed, Cause: sandbox.CauseHostRetired})},
	"host retired":                      {start, move(store.Outcome{State: sandbox.Killed, Cause: sandbox.CauseHostRetired})},
	"ended on host":                     {start, move(store.Outcome{State: sandbox.Killed, Cause: sandbox.CauseEndedOnHost})},
	"killed by its host for a reason": {
		start, move(store.Outcome{State: sandbox.Killed, Cause: sandbox.CauseEndedOnHost, Reason: "QEMU ended: signal: killed"}),
	},
	"a pause and a resume that failed": {
		start, claim(sandbox.Pausing, ""), move(store.Outcome{State: sandbox.Running}),
		claim(sandbox.Pausing, ""), move(store.Outcome{State: sandbox.Paused, Reason: "out of memory", GuestUnresponsive: true}),
		claim(sandbox.Resuming, ""), move(store.Outcome{State: sandbox.Paused}),
	},
	"paused and resumed by its host": {start, move(store.Outcome{State: sandbox.Paused}), start},
	"broken, mended and broken again": {
		start, move(store.Outcome{State: sandbox.Broken, Reason: "its disk has 4096 bytes"}), move(store.Outcome{State: sandbox.Paused}),
		move(store.Outcome{State: sandbox.Broken, Reason: "its disk is gone"}), start,
	},
	"updated": {
		start,
		func(ctx context.Context, s *store.Sandboxes, read sandbox.Sandbox) (sandbox.Sandbox, error) {
			return s.SetEnd(ctx, read, 2*time.Hour)
		},
		func(ctx context.Context, s *store.Sandboxes, read sandbox.Sandbox) (sandbox.Sandbox, error) {
			return s.ExtendEnd(ctx, read, time.Minute) // sooner: no event
		},
		func(ctx context.Context, s *store.Sandboxes, read sandbox.Sandbox) (sandbox.Sandbox, error) {
			return s.ExtendEnd(ctx, read, 3*time.Hour)
		},
		func(ctx context.Context, s *store.Sandboxes, read sandbox.Sandbox) (sandbox.Sandbox, error) {
			return s.SetNetwork(ctx, read.ID, read.Network) // the same: no event
		},
		func(ctx context.Context, s *store.Sandboxes, read sandbox.Sandbox) (sandbox.Sandbox, error) {
			return s.SetNetwork(ctx, read.ID, sandbox.Network{})
		},
		func(ctx context.Context, s *store.Sandboxes, read sandbox.Sandbox) (sandbox.Sandbox, error) {
			return read, s.SetWithoutMemory(ctx, read, true) // no event
		},
		func(ctx context.Context, s *store.Sandboxes, read sandbox.Sandbox) (sandbox.Sandbox, error) {
			return s.RaiseTokenEpoch(ctx, read.TeamID, read.ID) // no event
		},
	},
	"a fork": {start, claim(sandbox.Killing, sandbox.CauseKilled), move(store.Outcome{State: sandbox.Killed})},
}

// told is an event or a line of a log, as the golden file has it.
type told struct {
	Type     string          `json:"type"`
	Resource string          `json:"resource,omitempty"`
	Data     json.RawMessage `json:"data"`
}

// The golden file was written by the triggers that wrote these rows before the store did.
func TestSandboxes_WriteTheEventsAndLinesThatTriggersWrote(t *testing.T) {
	t.Parallel()
	all := map[string][]told{}
	f := newFixture(t)
	for name, changes := range lives {
		creating := f.creating()
		if name == "a fork" {
			creating.ForkedFrom = "iparent"
		}
		current := f.insert(t, creating)
		for i, change := range changes {
			var err error
			current, err = change(t.Context(), f.Sandboxes, current)
			require.NoError(t, err, "%s: change %d", name, i)
		}
		all[name] = f.told(t, current)
	}
	written, err := json.MarshalIndent(all, "", "  ")
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.WriteFile(golden, append(written, '\n'), 0o644))
	}
	require.JSONEq(t, string(readGolden(t)), string(written))
}

var golden = filepath.Join("testdata", "told.json")

func readGolden(t *testing.T) []byte {
	t.Helper()
	content, err := os.ReadFile(golden)
	require.NoError(t, err)
	return content
}

// told returns all events and lines, with names in place of IDs and times.
func (f *fixture) told(t *testing.T, of sandbox.Sandbox) []told {
	t.Helper()
	names := strings.NewReplacer(of.ID, "SANDBOX", of.BuildID.String(), "BUILD")
	var all []told
	for _, query := range []string{
		// A time that is not written as to_jsonb writes it becomes null.
		`SELECT e.type, e.resource_id, (e.data || CASE WHEN e.data ? 'endAt' THEN jsonb_build_object(
			'startedAt', CASE WHEN e.data -> 'startedAt' = to_jsonb((e.data ->> 'startedAt')::timestamptz) THEN 'TIME' END,
			'endAt', CASE WHEN e.data -> 'endAt' = to_jsonb((e.data ->> 'endAt')::timestamptz) THEN 'TIME' END) ELSE '{}' END)::text
		FROM events e WHERE $1 IN (e.resource_id, e.data ->> 'forkID') ORDER BY e.id`,
		`SELECT 'log.' || level, message, fields::text FROM sandbox_logs WHERE sandbox_id = $1 ORDER BY id`,
	} {
		rows, err := f.pool.Query(t.Context(), query, of.ID)
		require.NoError(t, err)
		for rows.Next() {
			var one told
			var data string
			require.NoError(t, rows.Scan(&one.Type, &one.Resource, &data))
			one.Resource, one.Data = names.Replace(one.Resource), json.RawMessage(names.Replace(data))
			all = append(all, one)
		}
		require.NoError(t, rows.Err())
	}
	return all
}
