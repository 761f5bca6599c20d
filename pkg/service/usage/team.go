package usage

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// RequireTeam returns NotFound where there is no such team.
func RequireTeam(ctx context.Context, conn db.Conn, teamID uuid.UUID) error {
	_, err := rows.New(conn).GetTeam(ctx, teamID)
	return TeamError(teamID, err)
}

// TeamError returns what the error of a query for a team means.
func TeamError(teamID uuid.UUID, err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return fault.New(fault.NotFound, "team %s was not found", teamID)
	}
	if err != nil {
		return fmt.Errorf("get team %s: %w", teamID, err)
	}
	return nil
}
