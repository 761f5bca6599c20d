package sandboxes

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/store"
)

// LogFilter selects among the lines of a sandbox's log.
type LogFilter struct {
	// From is where the list begins, itself included. The zero time is the beginning of
	// all lines or, Backward, their end.
	From time.Time
	// Backward lists from there to the past.
	Backward bool
	// Level is the least important one that is wanted; empty for all.
	Level sandbox.Level
	// Search is part of the message, in any case.
	Search string
	Limit  int
}

// Logs returns the log of a team's sandbox, also when it is over.
func (s *Service) Logs(ctx context.Context, teamID uuid.UUID, sandboxID string, filter LogFilter) ([]sandbox.LogLine, error) {
	if _, err := s.getEver(ctx, teamID, sandboxID); err != nil {
		return nil, err
	}
	if filter.Backward && filter.From.IsZero() {
		filter.From = time.Now().Add(time.Hour) // more than clocks differ
	}
	all := sandbox.Levels()
	return s.store.Log(ctx, sandboxID, store.LogFilter{
		From: filter.From, Backward: filter.Backward, Search: filter.Search, Limit: filter.Limit,
		Levels: all[max(0, slices.Index(all, filter.Level)):],
	})
}

// logLine adds a line to a sandbox's log. A failure does not fail the operation that
// the line tells of.
func (s *Service) logLine(ctx context.Context, of sandbox.Sandbox, message string, fields map[string]string) {
	line := sandbox.LogLine{Level: sandbox.Info, Message: message, Fields: map[string]string{"source": "control-plane"}}
	maps.Copy(line.Fields, fields)
	if err := s.store.AppendLog(ctx, of.ID, line); err != nil {
		s.logger(of).WarnContext(ctx, "write a sandbox's log", "error", err)
	}
}
