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

// Limits is what a team may have; nil is without limit.
func (u *Service) Limits(ctx context.Context, teamID uuid.UUID) (rows.TeamLimit, error) {
	return LimitsOf(ctx, u.Queries, teamID)
}

// limitsOf has no limit for a team without a row.
func LimitsOf(ctx context.Context, queries *rows.Queries, teamID uuid.UUID) (rows.TeamLimit, error) {
	limits, err := queries.GetTeamLimits(ctx, teamID)
	if errors.Is(err, pgx.ErrNoRows) {
		return rows.TeamLimit{TeamID: teamID}, nil
	}
	if err != nil {
		return limits, fmt.Errorf("get the limits of team %s: %w", teamID, err)
	}
	return limits, nil
}

// SetLimits replaces what a team may have. What it has already it keeps.
func (u *Service) SetLimits(ctx context.Context, limits rows.TeamLimit) error {
	for name, value := range map[string]*int64{
		"maxSandboxes": widened(limits.MaxSandboxes), "maxVcpus": limits.MaxVCPUCount, "maxMemoryMiB": limits.MaxMemoryMiB,
		"maxDiskMiB": limits.MaxDiskMiB, "maxBuilds": widened(limits.MaxBuilds), "maxCreatesPerMinute": widened(limits.MaxCreatesPerMinute),
		"maxVolumes": widened(limits.MaxVolumes), "maxVolumeMiB": limits.MaxVolumeMiB, "maxSecrets": widened(limits.MaxSecrets),
	} {
		if value != nil && *value < 0 {
			return fault.New(fault.Invalid, "%s must not be negative", name)
		}
	}
	if _, err := u.Queries.GetTeam(ctx, limits.TeamID); errors.Is(err, pgx.ErrNoRows) {
		return fault.New(fault.NotFound, "team %s was not found", limits.TeamID)
	} else if err != nil {
		return fmt.Errorf("get team %s: %w", limits.TeamID, err)
	}
	if err := u.Queries.SetTeamLimits(ctx, rows.SetTeamLimitsParams(limits)); err != nil {
		return fmt.Errorf("set the limits of team %s: %w", limits.TeamID, err)
	}
	return nil
}
