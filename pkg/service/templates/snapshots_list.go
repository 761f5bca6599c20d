package templates

import (
	"context"

	"github.com/google/uuid"

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
	found, createdAt, err := newStore(t.pool).snapshots(ctx, teamID, filter.SandboxID, named, after, filter.PageSize+1)
	if err != nil {
		return SnapshotPage{}, err
	}
	page := SnapshotPage{Snapshots: found}
	if len(found) > filter.PageSize {
		page.Snapshots = found[:filter.PageSize]
		page.NextToken = cursor.At(createdAt[filter.PageSize-1], found[filter.PageSize-1].ID).String()
	}
	return page, nil
}
