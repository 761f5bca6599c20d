package identity

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// mostTeams is how many teams somebody may be in and still make another one.
const mostTeams = 50

// User returns a user.
func (s *Service) User(ctx context.Context, userID uuid.UUID) (rows.User, error) {
	user, err := s.queries.GetUser(ctx, userID)
	if err != nil {
		return rows.User{}, fmt.Errorf("find user: %w", err)
	}
	return user, nil
}

// RenameUser changes what a user is called.
func (s *Service) RenameUser(ctx context.Context, userID uuid.UUID, name string) error {
	name, err := checkName(name)
	if err != nil {
		return err
	}
	if err := s.queries.SetUserName(ctx, rows.SetUserNameParams{ID: userID, Name: name}); err != nil {
		return fmt.Errorf("rename user: %w", err)
	}
	return nil
}

// Teams returns the teams that a user is in. The first is the one that is worked
// on where a request names none.
func (s *Service) Teams(ctx context.Context, userID uuid.UUID) ([]rows.ListTeamsOfUserRow, error) {
	teams, err := s.queries.ListTeamsOfUser(ctx, userID)
	if err != nil {
		return nil, fmt.Errorf("list teams: %w", err)
	}
	return teams, nil
}

// CreateTeam makes a team and its maker the owner.
func (s *Service) CreateTeam(ctx context.Context, userID uuid.UUID, name string) (rows.Team, error) {
	name, err := checkName(name)
	if err != nil {
		return rows.Team{}, err
	}
	var team rows.Team
	err = s.inTransaction(ctx, func(queries *rows.Queries) error {
		if _, err := lockUser(ctx, queries, userID); err != nil {
			return err
		}
		teams, err := queries.ListTeamsOfUser(ctx, userID)
		if err != nil {
			return fmt.Errorf("list teams: %w", err)
		}
		if len(teams) >= mostTeams {
			return fault.New(fault.Conflict, "you are in %d teams, which is the most", len(teams))
		}
		id := uuid.New()
		if team, err = queries.CreateTeam(ctx, rows.CreateTeamParams{ID: id, Slug: id.String(), Name: name}); err != nil {
			return fmt.Errorf("store team: %w", err)
		}
		if s.NewTeamLimits != nil {
			limits := *s.NewTeamLimits
			limits.TeamID = id
			if err := queries.SetTeamLimits(ctx, rows.SetTeamLimitsParams(limits)); err != nil {
				return fmt.Errorf("limit the new team: %w", err)
			}
		}
		_, err = queries.AddMember(ctx, rows.AddMemberParams{TeamID: id, UserID: userID, Role: string(auth.Owner)})
		return err
	})
	return team, err
}

// RenameTeam changes a team's name.
func (s *Service) RenameTeam(ctx context.Context, teamID uuid.UUID, name string) (rows.Team, error) {
	name, err := checkName(name)
	if err != nil {
		return rows.Team{}, err
	}
	team, err := s.queries.RenameTeam(ctx, rows.RenameTeamParams{ID: teamID, Name: name})
	if errors.Is(err, pgx.ErrNoRows) {
		return rows.Team{}, fault.New(fault.NotFound, "there is no such team")
	}
	if err != nil {
		return rows.Team{}, fmt.Errorf("rename team: %w", err)
	}
	return team, nil
}
