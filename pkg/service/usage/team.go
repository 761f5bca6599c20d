package usage

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

func RequireTeam(ctx context.Context, queries *rows.Queries, teamID uuid.UUID) error {
	_, err := queries.GetTeam(ctx, teamID)
	if errors.Is(err, pgx.ErrNoRows) {
		return fault.New(fault.NotFound, "team %s was not found", teamID)
	}
	if err != nil {
		return fmt.Errorf("get team %s: %w", teamID, err)
	}
	return nil
}
