package teams

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/identity"
)

var errNoTeam = fault.New(fault.NotFound, "there is no such team")

// store reads what teams are and have, and changes and deletes their rows.
type store struct{ queries *rows.Queries }

func newStore(conn db.Conn) *store { return &store{rows.New(conn)} }

// slug returns NotFound where there is no such team.
func (s *store) slug(ctx context.Context, teamID uuid.UUID) (string, error) {
	team, err := s.queries.GetTeam(ctx, teamID)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", errNoTeam
	}
	if err != nil {
		return "", fmt.Errorf("get team %s: %w", teamID, err)
	}
	return team.Slug, nil
}

// possessions counts what a team has on hosts.
type possessions struct{ running, paused, volumes, snapshots, templates int64 }

func (s *store) count(ctx context.Context, teamID uuid.UUID) (possessions, error) {
	has, err := s.queries.CountOfTeam(ctx, teamID)
	if err != nil {
		return possessions{}, fmt.Errorf("count what team %s has: %w", teamID, err)
	}
	return possessions{has.Running, has.Paused, has.Volumes, has.Snapshots, has.Templates}, nil
}

func (s *store) lock(ctx context.Context, teamID uuid.UUID) error {
	if _, err := s.queries.LockTeam(ctx, teamID); err != nil {
		return fmt.Errorf("lock team %s: %w", teamID, err)
	}
	return nil
}

// delete deletes the rows of the team's ended sandboxes, and the team with all rows that
// belong to it.
func (s *store) delete(ctx context.Context, teamID uuid.UUID) error {
	if err := s.queries.DeleteSandboxesOfTeam(ctx, teamID); err != nil {
		return fmt.Errorf("delete the sandboxes of team %s: %w", teamID, err)
	}
	if err := s.queries.DeleteTeam(ctx, teamID); err != nil {
		return fmt.Errorf("delete team %s: %w", teamID, err)
	}
	return nil
}

func teamOf(row rows.Team) identity.Team {
	return identity.Team{ID: row.ID, Slug: row.Slug, Name: row.Name, CreatedAt: row.CreatedAt.UTC(), Isolation: row.Isolation}
}

// change returns the team as it is then, and whether it was another before.
func (s *store) change(ctx context.Context, teamID uuid.UUID, change Change) (team identity.Team, changed bool, err error) {
	params := rows.ChangeTeamParams{ID: teamID, Name: change.Name}
	if change.Isolation != nil {
		isolation := string(*change.Isolation)
		params.Isolation = &isolation
	}
	row, err := s.queries.ChangeTeam(ctx, params)
	if errors.Is(err, pgx.ErrNoRows) {
		return identity.Team{}, false, errNoTeam
	}
	if err != nil {
		return identity.Team{}, false, fmt.Errorf("change team %s: %w", teamID, err)
	}
	return teamOf(row.Team), row.Changed, nil
}

// list returns at most a number of teams, by ID, after one.
func (s *store) list(ctx context.Context, after uuid.UUID, most int) ([]identity.Team, error) {
	found, err := s.queries.ListTeams(ctx, rows.ListTeamsParams{AfterID: after, PageSize: int32(most)})
	if err != nil {
		return nil, fmt.Errorf("list teams: %w", err)
	}
	teams := make([]identity.Team, 0, len(found))
	for _, row := range found {
		teams = append(teams, teamOf(row))
	}
	return teams, nil
}
