package builds

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/build"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
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
	if err != nil {
		return nil, fmt.Errorf("list the log of build %s: %w", buildID, err)
	}
	entries := make([]build.LogEntry, 0, len(found))
	for _, row := range found {
		entries = append(entries, entryOf(row))
	}
	return entries, nil
}

// logForward returns the entries from a time on, the oldest first.
func (s *store) logForward(ctx context.Context, buildID uuid.UUID, levels []string, since time.Time, most int) ([]build.LogEntry, error) {
	found, err := s.queries.ListBuildLogsForward(ctx, rows.ListBuildLogsForwardParams{
		BuildID: buildID, Levels: levels, Since: since, PageSize: int32(most),
	})
	if err != nil {
		return nil, fmt.Errorf("list the log of build %s: %w", buildID, err)
	}
	entries := make([]build.LogEntry, 0, len(found))
	for _, row := range found {
		entries = append(entries, entryOf(rows.ListBuildLogsFromRow(row)))
	}
	return entries, nil
}

// logBackward returns the entries until a time, the newest first.
func (s *store) logBackward(ctx context.Context, buildID uuid.UUID, levels []string, until time.Time, most int) ([]build.LogEntry, error) {
	found, err := s.queries.ListBuildLogsBackward(ctx, rows.ListBuildLogsBackwardParams{
		BuildID: buildID, Levels: levels, Until: until, PageSize: int32(most),
	})
	if err != nil {
		return nil, fmt.Errorf("list the log of build %s: %w", buildID, err)
	}
	entries := make([]build.LogEntry, 0, len(found))
	for _, row := range found {
		entries = append(entries, entryOf(rows.ListBuildLogsFromRow(row)))
	}
	return entries, nil
}

// stepWarnings returns the last warnings and errors of a step, in their order.
func (s *store) stepWarnings(ctx context.Context, buildID uuid.UUID, step string, most int) ([]build.LogEntry, error) {
	found, err := s.queries.ListStepWarnings(ctx, rows.ListStepWarningsParams{BuildID: buildID, Step: step, PageSize: int32(most)})
	if err != nil {
		return nil, fmt.Errorf("list the warnings of build %s: %w", buildID, err)
	}
	entries := make([]build.LogEntry, 0, len(found))
	for _, row := range found {
		entries = append(entries, entryOf(rows.ListBuildLogsFromRow(row)))
	}
	slices.Reverse(entries)
	return entries, nil
}

func entryOf(row rows.ListBuildLogsFromRow) build.LogEntry {
	return build.LogEntry{At: row.At, Level: build.Level(row.Level), Step: row.Step, Text: row.Text}
}

func (s *store) deleteOldLogs(ctx context.Context, before time.Time, batch int32) (int64, error) {
	deleted, err := s.queries.DeleteOldBuildLogs(ctx, rows.DeleteOldBuildLogsParams{Before: before, Batch: batch})
	if err != nil {
		return 0, fmt.Errorf("delete old logs of builds: %w", err)
	}
	return deleted, nil
}

// sealedWithOthers returns values that another key seals, in the order of their IDs.
func (s *store) sealedWithOthers(ctx context.Context, key seal.KeyID, after string, most int32) ([]seal.Stored, error) {
	found, err := s.queries.ListSealedBuilds(ctx, rows.ListSealedBuildsParams{KeyID: key[:], After: after, Batch: most})
	if err != nil {
		return nil, fmt.Errorf("list sealed values of builds: %w", err)
	}
	values := make([]seal.Stored, 0, len(found))
	for _, row := range found {
		values = append(values, seal.Stored{ID: row.ID, Purpose: purpose(row.TeamID, row.BuildID), Sealed: row.SealedConfidential})
	}
	return values, nil
}

// replaceSealed changes nothing where the value is another one by now.
func (s *store) replaceSealed(ctx context.Context, old seal.Stored, sealed []byte) error {
	buildID, err := uuid.Parse(old.ID)
	if err != nil {
		return fmt.Errorf("replace the sealed value of build %q: %w", old.ID, err)
	}
	return s.queries.ReplaceSealedBuild(ctx, rows.ReplaceSealedBuildParams{BuildID: buildID, SealedValue: sealed, OldValue: old.Sealed})
}
