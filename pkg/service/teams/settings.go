package teams

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/identity"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/validate"
)

// Settings lists teams and changes what they are.
type Settings struct{ pool *pgxpool.Pool }

// NewSettings returns the service.
func NewSettings(pool *pgxpool.Pool) *Settings { return &Settings{pool} }

// Change is what changes of a team; nil leaves it.
type Change struct {
	Name      *string
	Isolation *sandbox.Isolation
}

func (c Change) checked() (Change, error) {
	if c.Name != nil {
		name, err := validate.Name(*c.Name)
		if err != nil {
			return Change{}, err
		}
		c.Name = &name
	}
	if c.Isolation != nil {
		if err := c.Isolation.Validate(); err != nil {
			return Change{}, fault.New(fault.Invalid, "%s", err)
		}
	}
	return c, nil
}

// Change changes a team, records an event where that makes a difference, and returns the
// team as it is then.
func (s *Settings) Change(ctx context.Context, teamID uuid.UUID, change Change) (team identity.Team, err error) {
	if change, err = change.checked(); err != nil {
		return identity.Team{}, err
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var changed bool
		if team, changed, err = newStore(tx).change(ctx, teamID, change); err != nil || !changed {
			return err
		}
		return events.RecordAll(ctx, tx, events.Draft{
			TeamID: teamID, Type: events.TeamUpdated, ResourceID: teamID.String(),
			Data: map[string]string{"name": team.Name, "isolation": team.Isolation.OrAny()},
		})
	})
	return team, err
}

// List returns a page of all teams, by ID, after one, and the last ID of the page where
// there is another.
func (s *Settings) List(ctx context.Context, after uuid.UUID, size int) (teams []identity.Team, next uuid.UUID, err error) {
	if teams, err = newStore(s.pool).list(ctx, after, size+1); err != nil {
		return nil, uuid.Nil, err
	}
	if len(teams) > size {
		teams = teams[:size]
		next = teams[size-1].ID
	}
	return teams, next, nil
}
