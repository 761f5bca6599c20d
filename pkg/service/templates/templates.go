// Package templates holds the rules of templates, their builds and tags, and of
// snapshots, which are templates that were taken from a sandbox.
package templates

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/cursor"
)

// Templates is the service of templates.
type Service struct {
	pool    *pgxpool.Pool
	Queries *rows.Queries
	Hosts   func(hostID uuid.UUID) SnapshotHost
	Log     *slog.Logger
}

// New makes the service. hosts finds the host of a snapshot.
func New(pool *pgxpool.Pool, hosts func(hostID uuid.UUID) SnapshotHost, log *slog.Logger) *Service {
	return &Service{pool: pool, Queries: rows.New(pool), Hosts: hosts, Log: log}
}

// TemplatePage is one page of a list of templates.
type Page struct {
	Templates []rows.ListTemplatesRow
	// NextToken is empty on the last page.
	NextToken string
}

// List returns a page of the templates that a team sees: its own and the
// installation's, newest first.
func (t *Service) List(ctx context.Context, teamID uuid.UUID, pageSize int, pageToken string) (Page, error) {
	after, err := cursor.Parse(pageToken, false)
	if err != nil {
		return Page{}, err
	}
	found, err := t.Queries.ListTemplates(ctx, rows.ListTemplatesParams{
		TeamID: teamID, BeforeTime: after.Time, BeforeID: after.ID, PageSize: int32(pageSize) + 1,
	})
	if err != nil {
		return Page{}, fmt.Errorf("list templates: %w", err)
	}
	page := Page{Templates: found}
	if len(found) > pageSize {
		page.Templates = found[:pageSize]
		last := page.Templates[pageSize-1]
		page.NextToken = cursor.At(last.CreatedAt, last.ID).String()
	}
	return page, nil
}
