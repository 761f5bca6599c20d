// Package templates holds the rules of templates, their builds and tags, and of
// snapshots, which are templates that were taken from a sandbox.
package templates

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/cursor"
)

// Template is what sandboxes are created from: a built template or a snapshot.
type Template struct {
	ID string
	// TeamID is nil, and TeamSlug empty, for a template of the installation.
	TeamID   *uuid.UUID
	TeamSlug string
	Aliases  []string
	// Public templates can be used by every team.
	Public               bool
	CreatedAt, UpdatedAt time.Time
	// LastSpawnedAt is when a sandbox was last created from it; nil for never.
	LastSpawnedAt *time.Time
	SpawnCount    int64
	// Creator is nil where it is not known.
	Creator *Creator
}

// Creator is the user who had a template built first, or who made the API key that did.
type Creator struct {
	ID    uuid.UUID
	Email string
}

// CreatorOf is the creator of an ID, which may be nil.
func CreatorOf(id *uuid.UUID, email string) *Creator {
	if id == nil {
		return nil
	}
	return &Creator{ID: *id, Email: email}
}

// Names are the aliases as every team may write them: after the team's slug and a slash.
func (t Template) Names() []string {
	names := make([]string, 0, len(t.Aliases))
	for _, alias := range t.Aliases {
		if t.TeamSlug != "" {
			alias = t.TeamSlug + "/" + alias
		}
		names = append(names, alias)
	}
	return names
}

// Listed is a template in a list.
type Listed struct {
	Template
	// Newest is the newest build, without its times.
	Newest     Build
	BuildCount int
}

// Service finds templates, and takes and deletes snapshots.
type Service struct {
	pool  *pgxpool.Pool
	hosts func(hostID uuid.UUID) SnapshotHost
	log   *slog.Logger
}

// New makes the service. hosts finds the host of a snapshot.
func New(pool *pgxpool.Pool, hosts func(hostID uuid.UUID) SnapshotHost, log *slog.Logger) *Service {
	return &Service{pool: pool, hosts: hosts, log: log}
}

// Page is one page of a list of templates.
type Page struct {
	Templates []Listed
	// NextToken is empty on the last page.
	NextToken string
}

// List returns a page of the built templates that a team sees: its own and the
// installation's, newest first.
func (t *Service) List(ctx context.Context, teamID uuid.UUID, pageSize int, pageToken string) (Page, error) {
	after, err := cursor.Parse(pageToken, false)
	if err != nil {
		return Page{}, err
	}
	found, err := newStore(t.pool).list(ctx, teamID, after, pageSize+1)
	if err != nil {
		return Page{}, err
	}
	page := Page{Templates: found}
	if len(found) > pageSize {
		page.Templates = found[:pageSize]
		last := page.Templates[pageSize-1]
		page.NextToken = cursor.At(last.CreatedAt, last.ID).String()
	}
	return page, nil
}

// Defaults returns the installation's templates that every team may use, newest
// first.
func (t *Service) Defaults(ctx context.Context) ([]Listed, error) {
	var defaults []Listed
	for token := ""; ; {
		const pageSize = 100
		page, err := t.List(ctx, uuid.Nil, pageSize, token) // no team has this ID
		if err != nil {
			return nil, err
		}
		for _, template := range page.Templates {
			if template.Public {
				defaults = append(defaults, template)
			}
		}
		if token = page.NextToken; token == "" {
			return defaults, nil
		}
	}
}
