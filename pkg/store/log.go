package store

import (
	"context"
	"fmt"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

// LogFilter selects among the lines of a sandbox's log.
type LogFilter struct {
	// From is where the list begins, itself included.
	From time.Time
	// Backward lists from there to the past.
	Backward bool
	Levels   []sandbox.Level
	// Search is part of the message, in any case; empty for all.
	Search string
	Limit  int
}

// Log returns lines of a sandbox's log.
func (s *Sandboxes) Log(ctx context.Context, sandboxID string, filter LogFilter) ([]sandbox.LogLine, error) {
	levels := make([]string, len(filter.Levels))
	for i, level := range filter.Levels {
		levels[i] = string(level)
	}
	query := rows.ListLogsForwardParams{
		SandboxID: sandboxID, FromTime: filter.From, Levels: levels, Search: filter.Search, PageSize: int32(filter.Limit),
	}
	var found []rows.SandboxLog
	var err error
	if filter.Backward {
		found, err = s.queries.ListLogsBackward(ctx, rows.ListLogsBackwardParams(query))
	} else {
		found, err = s.queries.ListLogsForward(ctx, query)
	}
	if err != nil {
		return nil, fmt.Errorf("list logs of sandbox %s: %w", sandboxID, err)
	}
	lines := make([]sandbox.LogLine, len(found))
	for i, row := range found {
		lines[i] = sandbox.LogLine{At: row.At, Level: row.Level, Message: row.Message, Fields: row.Fields}
	}
	return lines, nil
}

// AppendLog adds a line, of now, to a sandbox's log.
func (s *Sandboxes) AppendLog(ctx context.Context, sandboxID string, line sandbox.LogLine) error {
	err := s.queries.AppendLog(ctx, rows.AppendLogParams{
		SandboxID: sandboxID, Level: line.Level, Message: line.Message, Fields: line.Fields,
	})
	if err != nil {
		return fmt.Errorf("write the log of sandbox %s: %w", sandboxID, err)
	}
	return nil
}

// DeleteOldLogs deletes the lines of all logs from before a time.
func (s *Sandboxes) DeleteOldLogs(ctx context.Context, before time.Time) error {
	if err := s.queries.DeleteOldLogs(ctx, before); err != nil {
		return fmt.Errorf("delete old logs: %w", err)
	}
	return nil
}
