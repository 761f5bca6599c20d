package sandboxes

import (
	"context"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/cursor"
	"git.omukk.dev/wrenn/sandbox/pkg/store"
)

// Filter selects among a team's sandboxes.
type Filter struct {
	Metadata map[string]string
	// States are Running, Paused or both; none means both. A sandbox that is pausing
	// counts as running, and one that is resuming or broken as paused.
	States       []sandbox.State
	OldestFirst  bool
	StartedAfter time.Time
	Template     string
	PageSize     int
	// PageToken is the NextToken of the page before; empty for the first page.
	PageToken string
}

// Page is one page of a list.
type Page struct {
	Sandboxes []sandbox.Sandbox
	// NextToken is empty on the last page.
	NextToken string
	// TotalRunning counts those that run and are selected, on all pages.
	TotalRunning int64
}

// List returns a page of a team's sandboxes.
func (s *Service) List(ctx context.Context, teamID uuid.UUID, filter Filter) (Page, error) {
	after, err := cursor.Parse(filter.PageToken, filter.OldestFirst)
	if err != nil {
		return Page{}, err
	}
	selected := store.Filter{
		States: widen(filter.States), Metadata: filter.Metadata, StartedAfter: filter.StartedAfter, Template: filter.Template,
	}
	behind := store.Place{StartedAt: after.Time, ID: after.ID}
	var page Page
	// One more tells whether there is another page.
	if page.Sandboxes, err = s.store.List(ctx, teamID, selected, behind, filter.OldestFirst, filter.PageSize+1); err != nil {
		return Page{}, err
	}
	if len(page.Sandboxes) > filter.PageSize {
		page.Sandboxes = page.Sandboxes[:filter.PageSize]
		last := page.Sandboxes[filter.PageSize-1]
		page.NextToken = cursor.At(last.StartedAt, last.ID).String()
	}
	page.TotalRunning, err = s.store.CountRunning(ctx, teamID, selected)
	return page, err
}

// widen adds the states that clients see as one of states.
func widen(states []sandbox.State) []sandbox.State {
	if len(states) == 0 {
		states = []sandbox.State{sandbox.Running, sandbox.Paused}
	}
	var all []sandbox.State
	for _, state := range states {
		all = append(all, state)
		switch state {
		case sandbox.Running:
			all = append(all, sandbox.Pausing)
		case sandbox.Paused:
			all = append(all, sandbox.Resuming, sandbox.Broken)
		}
	}
	return all
}
