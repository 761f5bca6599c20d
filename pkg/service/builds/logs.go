package builds

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/build"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
)

const (
	// maxLogEntries and maxLogBytes bound the log of a build, and maxEntryBytes an entry.
	maxLogEntries = 20_000
	maxLogBytes   = 8 << 20
	maxEntryBytes = 16 << 10
	// LogsKept is for how long the logs of builds are kept.
	LogsKept = 30 * 24 * time.Hour
	// deleteBatch is how many entries one statement deletes.
	deleteBatch = 1000
	// maxReasonEntries is how many entries the reason of a failure has.
	maxReasonEntries = 100
)

// batch are entries of one attempt that are to be stored.
type batch struct {
	buildID uuid.UUID
	attempt int32
	entries []build.Entry
}

// add returns how many entries the batch has.
func (b *batch) add(entry build.Entry) int {
	b.entries = append(b.entries, entry)
	return len(b.entries)
}

// flush stores a batch and empties it. Entries that are stored already, or that are of an
// earlier attempt, are left out.
func (s *Service) flush(ctx context.Context, b *batch) error {
	if len(b.entries) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	err := s.change(ctx, b.buildID, func(tx *changes, of Build) error {
		if of.Status != templates.StatusBuilding || of.Attempt != b.attempt {
			return nil
		}
		var fresh []build.LogEntry
		for _, entry := range b.entries {
			if entry.Sequence > of.logSequence {
				of.logSequence = entry.Sequence
				fresh = append(fresh, entry.LogEntry)
			}
		}
		fresh = of.admitLog(fresh)
		return tx.appendLog(ctx, of, fresh)
	})
	if err != nil && !errors.Is(err, errNoRow) {
		return err
	}
	b.entries = b.entries[:0]
	return nil
}

// storeTimeout bounds the store of a batch, which is not cut off when a job ends.
const storeTimeout = 10 * time.Second

// note adds an entry of the control plane itself to a build's log.
func (d *driver) note(ctx context.Context, entry build.LogEntry) error {
	return d.change(ctx, d.buildID, func(tx *changes, of Build) error {
		return tx.appendLog(ctx, of, of.admitLog([]build.LogEntry{entry}))
	})
}

// admitLog counts entries and returns those that the bound of a log allows. The first that
// it does not allow is replaced by a notice.
func (b *Build) admitLog(entries []build.LogEntry) []build.LogEntry {
	admitted := make([]build.LogEntry, 0, len(entries))
	for _, entry := range entries {
		if b.logBytes >= maxLogBytes {
			break
		}
		entry.Text = storable(entry.Text)
		b.logBytes += int64(len(entry.Text))
		if b.logEntries++; b.logBytes >= maxLogBytes || b.logEntries >= maxLogEntries {
			entry = build.LogEntry{At: entry.At, Level: build.LevelWarn, Step: entry.Step, Text: fmt.Sprintf(
				"the log has reached %d entries and %d bytes; the rest is left out", b.logEntries, b.logBytes,
			)}
			b.logBytes = max(b.logBytes, maxLogBytes)
		}
		admitted = append(admitted, entry)
	}
	return admitted
}

// storable returns a text as PostgreSQL can store it, within the bound of an entry.
func storable(text string) string {
	if len(text) > maxEntryBytes {
		text = text[:maxEntryBytes] + "…"
	}
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// levelsFrom returns the levels from one on; empty is the least.
func levelsFrom(least build.Level) []string {
	levels := build.Levels()
	if place := slices.Index(levels, least); place > 0 {
		levels = levels[place:]
	}
	names := make([]string, 0, len(levels))
	for _, level := range levels {
		names = append(names, string(level))
	}
	return names
}

// Reason is why a build has failed.
type Reason struct {
	Cause   build.Cause
	Message string
	// Step is build.StepBase, build.StepFinalize, a step's name, or empty.
	Step string
	// Entries are the step's warnings and errors.
	Entries []build.LogEntry
}

// Status is the log of a build from a place on, and why it has failed.
type Status struct {
	Entries []build.LogEntry
	// Reason is nil for a build that has not failed.
	Reason *Reason
}

// Status returns at most a number of the entries from a level on, but for the first ones.
// It is empty for a build that the team has not asked for.
func (s *Service) Status(ctx context.Context, teamID, buildID uuid.UUID, least build.Level, skipped int64, most int) (Status, error) {
	store := newStore(s.pool)
	of, _, err := store.get(ctx, buildID)
	if errors.Is(err, errNoRow) || err == nil && of.TeamID != teamID {
		return Status{}, nil
	}
	if err != nil {
		return Status{}, err
	}
	entries, err := store.logFrom(ctx, buildID, levelsFrom(least), skipped, most)
	if err != nil {
		return Status{}, err
	}
	status := Status{Entries: entries}
	if of.Failure.Cause != "" {
		status.Reason = &Reason{Cause: of.Failure.Cause, Message: of.Failure.Message, Step: of.Failure.Step}
		if of.Failure.Step != "" {
			if status.Reason.Entries, err = store.stepWarnings(ctx, buildID, of.Failure.Step, maxReasonEntries); err != nil {
				return Status{}, err
			}
		}
	}
	return status, nil
}

// LogQuery selects entries of a log.
type LogQuery struct {
	// Cursor is the time from which on or, backward, until which entries are returned;
	// zero is the beginning or the end.
	Cursor   time.Time
	Backward bool
	Least    build.Level
	Most     int
}

// endOfTime is within what PostgreSQL can store.
var endOfTime = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// ReadLog returns entries of a build's log, in the order that is asked for. It is empty for a
// build that the team has not asked for.
func (s *Service) ReadLog(ctx context.Context, teamID, buildID uuid.UUID, query LogQuery) ([]build.LogEntry, error) {
	store := newStore(s.pool)
	of, _, err := store.get(ctx, buildID)
	if errors.Is(err, errNoRow) || err == nil && of.TeamID != teamID {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !query.Backward {
		return store.logForward(ctx, buildID, levelsFrom(query.Least), query.Cursor, query.Most)
	}
	if query.Cursor.IsZero() {
		query.Cursor = endOfTime
	}
	return store.logBackward(ctx, buildID, levelsFrom(query.Least), query.Cursor, query.Most)
}

// ExpireLogs deletes entries from before a time of builds that have ended, and returns how
// many it deleted.
func (s *Service) ExpireLogs(ctx context.Context, before time.Time) (int64, error) {
	var total int64
	for {
		deleted, err := newStore(s.pool).deleteOldLogs(ctx, before, deleteBatch)
		if err != nil {
			return total, err
		}
		if total += deleted; deleted < deleteBatch {
			return total, nil
		}
	}
}

// explain returns what a failure says to the template's owner: the step and its line, what
// happened, and the end of the output.
func explain(failure build.Failure) string {
	var text strings.Builder
	if _, err := strconv.Atoi(failure.Step); err == nil {
		text.WriteString("Step " + failure.Step)
		if failure.Line > 0 {
			fmt.Fprintf(&text, ", line %d", failure.Line)
		}
		text.WriteString(": ")
	}
	text.WriteString(failure.Message)
	if len(failure.LastLines) > 0 {
		text.WriteString("\n" + strings.Join(failure.LastLines, "\n"))
	}
	return storable(text.String())
}
