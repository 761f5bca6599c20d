package audit

import (
	"context"
	"iter"
	"strings"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
)

const (
	// maxTextBytes bounds each text of an entry.
	maxTextBytes = 256
	// allPage is how many entries All reads at a time.
	allPage     = 500
	deleteBatch = 1000
	// LeastRetention is how long the database keeps every entry, whatever it is told to
	// delete.
	LeastRetention = 30 * 24 * time.Hour
)

// Log is the audit log.
type Log struct{ store store }

// NewLog reads and writes by a pool or within a transaction.
func NewLog(conn db.Conn) Log { return Log{newStore(conn)} }

// Append writes an entry. Its ID and time are ignored.
func (l Log) Append(ctx context.Context, entry Entry) error { return l.store.append(ctx, entry) }

// clip makes a client's text short enough and storable.
func clip(text string) string {
	if len(text) > maxTextBytes {
		text = text[:maxTextBytes]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// Query selects entries of one team. Zero fields select all.
type Query struct {
	// TeamID is zero for entries that belong to no team.
	TeamID  uuid.UUID
	ActorID string
	// Action is a whole action or, as "sandbox.*", all of a kind.
	Action     string
	ResourceID string
	Outcome    Outcome
	// Since is the earliest time, and Until the first that is too late.
	Since, Until time.Time
	// BeforeID selects entries with smaller IDs: those after a page that ends with it.
	BeforeID int64
	// Limit is how many entries a page has at most.
	Limit int
}

// List returns a page of entries, newest first.
func (l Log) List(ctx context.Context, query Query) ([]Entry, error) { return l.store.list(ctx, query) }

// All returns all entries that a query selects, newest first, whatever its Limit. It
// reads page after page without a transaction: entries that are written meanwhile are
// newer than the first page. An error ends it.
func (l Log) All(ctx context.Context, query Query) iter.Seq2[Entry, error] {
	query.Limit = allPage
	return func(yield func(Entry, error) bool) {
		for {
			entries, err := l.List(ctx, query)
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for _, entry := range entries {
				if !yield(entry, nil) {
					return
				}
				query.BeforeID = entry.ID
			}
			if len(entries) < allPage {
				return
			}
		}
	}
}

// Expire deletes entries from before a time, but none younger than LeastRetention, and
// returns how many it deleted.
func (l Log) Expire(ctx context.Context, before time.Time) (int64, error) {
	// One minute of margin, because the database compares with its own clock.
	if newest := time.Now().Add(-LeastRetention - time.Minute); before.After(newest) {
		before = newest
	}
	var total int64
	for {
		deleted, err := l.store.deleteOld(ctx, before, deleteBatch)
		if err != nil {
			return total, err
		}
		if total += deleted; deleted < deleteBatch {
			return total, nil
		}
	}
}
