package service

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/exactjson"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
)

// Filter chooses among a team's sandboxes.
type Filter struct {
	Metadata map[string]string
	// States are Running, Paused or both; a sandbox on its way from one to the
	// other counts as where it comes from, and a broken one as paused. None means both.
	States       []lifecycle.State
	OldestFirst  bool
	StartedAfter time.Time
	Template     string
	PageSize     int
	// PageToken continues a list where an earlier page ended.
	PageToken string
}

// Page is one page of a list.
type Page struct {
	Sandboxes []rows.Sandbox
	// NextToken is empty on the last page.
	NextToken string
	// TotalRunning counts what runs and fits the filter, on all pages.
	TotalRunning int64
}

// List returns a page of a team's sandboxes.
func (s *Sandboxes) List(ctx context.Context, teamID uuid.UUID, filter Filter) (Page, error) {
	metadata, err := json.Marshal(filter.Metadata)
	if err != nil {
		return Page{}, fmt.Errorf("encode metadata filter: %w", err)
	}
	if filter.Metadata == nil {
		metadata = []byte("{}")
	}
	cursor, err := parseCursor(filter.PageToken, filter.OldestFirst)
	if err != nil {
		return Page{}, err
	}
	query := rows.ListSandboxesNewestParams{
		TeamID: teamID, States: texts(widen(filter.States)), MetadataFilter: metadata,
		StartedAfter: filter.StartedAfter, Template: filter.Template,
		CursorTime: cursor.time, CursorID: cursor.id,
		PageSize: int32(filter.PageSize) + 1, // one more tells whether there is another page
	}
	var page Page
	if filter.OldestFirst {
		page.Sandboxes, err = s.Queries.ListSandboxesOldest(ctx, rows.ListSandboxesOldestParams(query))
	} else {
		page.Sandboxes, err = s.Queries.ListSandboxesNewest(ctx, query)
	}
	if err != nil {
		return Page{}, fmt.Errorf("list sandboxes: %w", err)
	}
	if len(page.Sandboxes) > filter.PageSize {
		page.Sandboxes = page.Sandboxes[:filter.PageSize]
		last := page.Sandboxes[filter.PageSize-1]
		page.NextToken = cursorAt(last.StartedAt, last.ID).String()
	}
	page.TotalRunning, err = s.Queries.CountRunning(ctx, rows.CountRunningParams{
		TeamID: teamID, MetadataFilter: metadata, StartedAfter: filter.StartedAfter, Template: filter.Template,
	})
	if err != nil {
		return Page{}, fmt.Errorf("count running sandboxes: %w", err)
	}
	return page, nil
}

// widen adds the states that clients see as one of these.
func widen(states []lifecycle.State) []lifecycle.State {
	if len(states) == 0 {
		states = []lifecycle.State{lifecycle.Running, lifecycle.Paused}
	}
	var all []lifecycle.State
	for _, state := range states {
		all = append(all, state)
		switch state {
		case lifecycle.Running:
			all = append(all, lifecycle.Pausing)
		case lifecycle.Paused:
			all = append(all, lifecycle.Resuming, lifecycle.Broken)
		}
	}
	return all
}

// cursor is a place in a list that is ordered by time and ID.
type cursor struct {
	time time.Time
	id   string
}

func cursorAt(at time.Time, id string) cursor { return cursor{time: at, id: id} }

// String is opaque to clients.
func (c cursor) String() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(c.time.UnixMicro(), 10) + "_" + c.id))
}

// parseCursor reads a token. The empty one is before everything.
func parseCursor(token string, ascending bool) (cursor, error) {
	if token == "" {
		if ascending {
			return cursor{time: time.Unix(0, 0)}, nil
		}
		return cursor{time: time.Now().AddDate(100, 0, 0)}, nil //nolint:mnd // further than any clock is off
	}
	bad := fault.New(fault.Invalid, "nextToken is not one that a list has answered")
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return cursor{}, bad
	}
	number, id, found := strings.Cut(string(raw), "_")
	micros, err := strconv.ParseInt(number, 10, 64)
	if err != nil || !found || id == "" || len(id) > 64 || !exactjson.Storable(id) || micros < 0 || micros > maxMicros {
		return cursor{}, bad
	}
	return cursor{time: time.UnixMicro(micros), id: id}, nil
}

// maxMicros is the year 9999, within what PostgreSQL can store.
const maxMicros = 253_402_300_799_000_000
