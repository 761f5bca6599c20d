package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

// Filter selects among a team's sandboxes that are not over. The zero value of each
// field selects all, but for States.
type Filter struct {
	States       []sandbox.State
	Metadata     map[string]string
	StartedAfter time.Time
	// Template is the ID or the alias of a template.
	Template string
}

// Place is where a page of a list begins: after the sandbox with this start and ID.
type Place struct {
	StartedAt time.Time
	ID        string
}

// List returns up to most of a team's sandboxes after a place, in the order of their
// start.
func (s *Sandboxes) List(ctx context.Context, teamID uuid.UUID, filter Filter, after Place, oldestFirst bool, most int) ([]sandbox.Sandbox, error) {
	metadata, err := json.Marshal(toMetadata(filter.Metadata))
	if err != nil {
		return nil, fmt.Errorf("encode metadata filter: %w", err)
	}
	states := make([]string, len(filter.States))
	for i, state := range filter.States {
		states[i] = string(state)
	}
	query := rows.ListSandboxesNewestParams{
		TeamID: teamID, States: states, MetadataFilter: metadata, StartedAfter: filter.StartedAfter, Template: filter.Template,
		CursorTime: after.StartedAt, CursorID: after.ID, PageSize: int32(most),
	}
	var found []rows.Sandbox
	if oldestFirst {
		found, err = s.queries.ListSandboxesOldest(ctx, rows.ListSandboxesOldestParams(query))
	} else {
		found, err = s.queries.ListSandboxesNewest(ctx, query)
	}
	if err != nil {
		return nil, fmt.Errorf("list sandboxes: %w", err)
	}
	return fromRows(found), nil
}

// CountRunning counts those of a team's sandboxes that run and are selected, whatever
// the filter's states.
func (s *Sandboxes) CountRunning(ctx context.Context, teamID uuid.UUID, filter Filter) (int64, error) {
	metadata, err := json.Marshal(toMetadata(filter.Metadata))
	if err != nil {
		return 0, fmt.Errorf("encode metadata filter: %w", err)
	}
	running, err := s.queries.CountRunning(ctx, rows.CountRunningParams{
		TeamID: teamID, MetadataFilter: metadata, StartedAfter: filter.StartedAfter, Template: filter.Template,
	})
	if err != nil {
		return 0, fmt.Errorf("count running sandboxes: %w", err)
	}
	return running, nil
}

// CountRunningByTeam counts what each team runs. Teams without are left out.
func (s *Sandboxes) CountRunningByTeam(ctx context.Context) (map[uuid.UUID]int64, error) {
	found, err := s.queries.CountRunningByTeam(ctx)
	if err != nil {
		return nil, fmt.Errorf("count what teams run: %w", err)
	}
	counts := make(map[uuid.UUID]int64, len(found))
	for _, row := range found {
		counts[row.TeamID] = row.Running
	}
	return counts, nil
}
