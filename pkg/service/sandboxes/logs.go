package sandboxes

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
)

// LogLevel says how much a line matters.
type LogLevel string

// The levels, from the least to the most important.
const (
	Debug LogLevel = "debug"
	Info  LogLevel = "info"
	Warn  LogLevel = "warn"
	Error LogLevel = "error"
)

// LogLevels are all levels, the least important first.
func LogLevels() []LogLevel { return []LogLevel{Debug, Info, Warn, Error} }

// LogFilter chooses among the lines of a sandbox.
type LogFilter struct {
	// From is where the list begins, itself included: the beginning or the end of
	// all lines where it is zero.
	From time.Time
	// Backward lists from there to the past.
	Backward bool
	// Level is the least important one that is wanted; "" for all.
	Level LogLevel
	// Search is part of the message, in any case.
	Search string
	Limit  int
}

// Logs returns what happened to a team's sandbox, also when it is over.
func (s *Service) Logs(ctx context.Context, teamID uuid.UUID, sandboxID string, filter LogFilter) ([]rows.SandboxLog, error) {
	if _, err := s.getEver(ctx, teamID, sandboxID); err != nil {
		return nil, err
	}
	query := rows.ListLogsForwardParams{
		SandboxID: sandboxID, FromTime: filter.From, Levels: levelsFrom(filter.Level),
		Search: filter.Search, PageSize: int32(filter.Limit),
	}
	var lines []rows.SandboxLog
	var err error
	if filter.Backward {
		if filter.From.IsZero() {
			query.FromTime = time.Now().Add(time.Hour) // whatever the clocks say
		}
		lines, err = s.Queries.ListLogsBackward(ctx, rows.ListLogsBackwardParams(query))
	} else {
		lines, err = s.Queries.ListLogsForward(ctx, query)
	}
	if err != nil {
		return nil, fmt.Errorf("list logs of sandbox %s: %w", sandboxID, err)
	}
	return lines, nil
}

// levelsFrom are the levels that matter as much as one, or more.
func levelsFrom(least LogLevel) []string {
	var levels []string
	all := LogLevels()
	for _, level := range all[max(0, slices.Index(all, least)):] {
		levels = append(levels, string(level))
	}
	return levels
}

// logLine adds a line to a sandbox's log. That it cannot be written is no reason
// to fail what it tells of.
func (s *Service) logLine(ctx context.Context, sandboxID, message string, fields map[string]string) {
	all := map[string]string{"source": "control-plane"}
	for name, value := range fields {
		all[name] = value
	}
	err := s.Queries.AppendLog(ctx, rows.AppendLogParams{SandboxID: sandboxID, Level: string(Info), Message: message, Fields: all})
	if err != nil {
		s.Log.Warn("write a sandbox's log", "sandbox", sandboxID, "error", err)
	}
}
