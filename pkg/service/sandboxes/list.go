package sandboxes

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/cursor"
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
func (s *Service) List(ctx context.Context, teamID uuid.UUID, filter Filter) (Page, error) {
	metadata, err := json.Marshal(filter.Metadata)
	if err != nil {
		return Page{}, fmt.Errorf("encode metadata filter: %w", err)
	}
	if filter.Metadata == nil {
		metadata = []byte("{}")
	}
	after, err := cursor.Parse(filter.PageToken, filter.OldestFirst)
	if err != nil {
		return Page{}, err
	}
	query := rows.ListSandboxesNewestParams{
		TeamID: teamID, States: texts(widen(filter.States)), MetadataFilter: metadata,
		StartedAfter: filter.StartedAfter, Template: filter.Template,
		CursorTime: after.Time, CursorID: after.ID,
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
		page.NextToken = cursor.At(last.StartedAt, last.ID).String()
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
