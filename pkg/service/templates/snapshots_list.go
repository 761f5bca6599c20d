package templates

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/cursor"
)

// SnapshotFilter chooses among a team's snapshots; empty fields choose all.
type SnapshotFilter struct {
	SandboxID string
	// Name is a snapshot's ID or one of its names, with the team's slug and a tag or
	// without.
	Name      string
	PageSize  int
	PageToken string
}

// SnapshotPage is one page of a list of snapshots.
type SnapshotPage struct {
	Snapshots []Snapshot
	// NextToken is empty on the last page.
	NextToken string
}

// ListSnapshots returns a page of a team's snapshots, newest first.
func (t *Service) ListSnapshots(ctx context.Context, teamID uuid.UUID, filter SnapshotFilter) (SnapshotPage, error) {
	if filter.SandboxID != "" && !id.IsSandbox(filter.SandboxID) {
		return SnapshotPage{}, fault.New(fault.Invalid, "sandboxID is malformed")
	}
	var named Name
	if filter.Name != "" {
		var err error
		if named, err = ParseName("name", filter.Name); err != nil {
			return SnapshotPage{}, err
		}
	}
	if !named.tagged {
		named.tag = "" // any
	}
	after, err := cursor.Parse(filter.PageToken, false)
	if err != nil {
		return SnapshotPage{}, err
	}
	found, err := t.Queries.ListSnapshots(ctx, rows.ListSnapshotsParams{
		TeamID: teamID, SandboxID: filter.SandboxID, Name: named.name, Tag: named.tag, TeamSlug: named.team,
		BeforeTime: after.Time, BeforeID: after.ID, PageSize: int32(filter.PageSize) + 1,
	})
	if err != nil {
		return SnapshotPage{}, fmt.Errorf("list snapshots: %w", err)
	}
	page := SnapshotPage{Snapshots: []Snapshot{}}
	if len(found) > filter.PageSize {
		found = found[:filter.PageSize]
		last := found[filter.PageSize-1]
		page.NextToken = cursor.At(last.CreatedAt, last.ID).String()
	}
	for _, row := range found {
		snapshot := Snapshot{ID: row.ID}
		snapshot.Reference, snapshot.Names = references(row.ID, row.TeamSlug, row.Aliases, row.Tags...)
		page.Snapshots = append(page.Snapshots, snapshot)
	}
	return page, nil
}
