package activity

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/audit"
)

var exported = audit.Entry{
	ID: 7, At: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), TeamID: uuid.Max,
	Actor: audit.Actor{Kind: "session", ID: "u", Name: `=HYPERLINK("x")`}, Action: "sandbox.kill",
	Resource: audit.Resource{Kind: "sandbox", ID: "i1"}, Outcome: audit.Success, Status: 204,
	Address: "192.0.2.1", UserAgent: "a\n\"b\",c", RequestID: "r", Details: json.RawMessage(`{"a":1}`),
}

// listed yields entries, and then an error unless it is nil.
func listed(err error, entries ...audit.Entry) iter.Seq2[audit.Entry, error] {
	return func(yield func(audit.Entry, error) bool) {
		for _, entry := range entries {
			if !yield(entry, nil) {
				return
			}
		}
		if err != nil {
			yield(audit.Entry{}, err)
		}
	}
}

func TestWriteJSONLines_WritesAnObjectALine(t *testing.T) {
	t.Parallel()
	written := new(bytes.Buffer)
	require.NoError(t, writeJSONLines(listed(nil, exported, exported), written))
	line, err := written.ReadString('\n')
	require.NoError(t, err)
	require.JSONEq(t, `{"id": 7, "at": "2026-01-02T03:04:05.000006Z", "teamID": "ffffffff-ffff-ffff-ffff-ffffffffffff",
		"actor": {"kind": "session", "id": "u", "name": "=HYPERLINK(\"x\")"}, "action": "sandbox.kill",
		"resource": {"kind": "sandbox", "id": "i1"}, "outcome": "success", "status": 204, "address": "192.0.2.1",
		"userAgent": "a\n\"b\",c", "requestID": "r", "details": {"a": 1}}`, line)
	require.Equal(t, line, written.String(), "the second is like the first")
}

func TestWriteCSV_WritesARowForEachEntryBelowItsColumns(t *testing.T) {
	t.Parallel()
	written := new(bytes.Buffer)
	require.NoError(t, writeCSV(listed(nil, exported), written))
	found, err := csv.NewReader(written).ReadAll()
	require.NoError(t, err)
	require.Equal(t, [][]string{csvHeader, {
		"7", "2026-01-02T03:04:05.000006Z", uuid.Max.String(), "session", "u", `'=HYPERLINK("x")`, "sandbox.kill", "sandbox", "i1",
		"success", "204", "192.0.2.1", "a\n\"b\",c", "r", `{"a":1}`,
	}}, found, "a cell must not be a formula")
}

func TestExports_ReturnTheErrorOfTheLog(t *testing.T) {
	t.Parallel()
	broken := errors.New("database is away")
	for _, write := range []func(iter.Seq2[audit.Entry, error], io.Writer) error{writeJSONLines, writeCSV} {
		require.ErrorIs(t, write(listed(broken, exported), io.Discard), broken)
	}
}
