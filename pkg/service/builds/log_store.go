package builds

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/build"
)

// appendLog stores entries after those that the build has. The caller holds the build's
// lock, and has counted the entries in it.
func (s *store) appendLog(ctx context.Context, of Build, entries []build.LogEntry) error {
	params := rows.InsertBuildLogsParams{BuildID: of.ID}
	first := of.logEntries - int64(len(entries)) + 1
	for i, entry := range entries {
		params.Numbers = append(params.Numbers, first+int64(i))
		params.Times = append(params.Times, entry.At)
		params.Levels = append(params.Levels, string(entry.Level))
		params.Steps = append(params.Steps, entry.Step)
		params.Texts = append(params.Texts, entry.Text)
	}
	if len(entries) > 0 {
		if err := s.queries.InsertBuildLogs(ctx, params); err != nil {
			return fmt.Errorf("store the log of build %s: %w", of.ID, err)
		}
	}
	err := s.queries.CountBuildLogs(ctx, rows.CountBuildLogsParams{
		BuildID: of.ID, LogSequence: of.logSequence, LogEntries: of.logEntries, LogBytes: of.logBytes,
	})
	if err != nil {
		return fmt.Errorf("count the log of build %s: %w", of.ID, err)
	}
	return nil
}

// logFrom returns at most a number of entries of some levels, but for the first ones.
func (s *store) logFrom(ctx context.Context, buildID uuid.UUID, levels []string, skipped int64, most int) ([]build.LogEntry, error) {
	found, err := s.queries.ListBuildLogsFrom(ctx, rows.ListBuildLogsFromParams{
		BuildID: buildID, Levels: levels, Skipped: skipped, PageSize: int32(most),
	})
	return entriesOf(buildID, found, err)
}

// logForward returns the entries from a time on, the oldest first.
func (s *store) logForward(ctx context.Context, buildID uuid.UUID, levels []string, since time.Time, most int) ([]build.LogEntry, error) {
	found, err := s.queries.ListBuildLogsForward(ctx, rows.ListBuildLogsForwardParams{
		BuildID: buildID, Levels: levels, Since: since, PageSize: int32(most),
	})
	return entriesOf(buildID, found, err)
}

// logBackward returns the entries until a time, the newest first.
func (s *store) logBackward(ctx context.Context, buildID uuid.UUID, levels []string, until time.Time, most int) ([]build.LogEntry, error) {
	found, err := s.queries.ListBuildLogsBackward(ctx, rows.ListBuildLogsBackwardParams{
		BuildID: buildID, Levels: levels, Until: until, PageSize: int32(most),
	})
	return entriesOf(buildID, found, err)
}

// stepWarnings returns the last warnings and errors of a step, in their order.
func (s *store) stepWarnings(ctx context.Context, buildID uuid.UUID, step string, most int) ([]build.LogEntry, error) {
	found, err := s.queries.ListStepWarnings(ctx, rows.ListStepWarningsParams{BuildID: buildID, Step: step, PageSize: int32(most)})
	entries, err := entriesOf(buildID, found, err)
	slices.Reverse(entries)
	return entries, err
}

// entriesOf converts what a query has found. The queries' rows have the same columns.
func entriesOf[Row rows.ListBuildLogsFromRow | rows.ListBuildLogsForwardRow | rows.ListBuildLogsBackwardRow | rows.ListStepWarningsRow](
	buildID uuid.UUID, found []Row, err error,
) ([]build.LogEntry, error) {
	if err != nil {
		return nil, fmt.Errorf("list the log of build %s: %w", buildID, err)
	}
	entries := make([]build.LogEntry, 0, len(found))
	for _, one := range found {
		row := rows.ListBuildLogsFromRow(one)
		entries = append(entries, build.LogEntry{At: row.At, Level: build.Level(row.Level), Step: row.Step, Text: row.Text})
	}
	return entries, nil
}

func (s *store) deleteOldLogs(ctx context.Context, before time.Time, batch int32) (int64, error) {
	deleted, err := s.queries.DeleteOldBuildLogs(ctx, rows.DeleteOldBuildLogsParams{Before: before, Batch: batch})
	if err != nil {
		return 0, fmt.Errorf("delete old logs of builds: %w", err)
	}
	return deleted, nil
}
