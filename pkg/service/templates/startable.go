package templates

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

// Startable is a ready build on a host, that new sandboxes begin as.
type Startable struct {
	TemplateID string
	// Alias is one of the template's, empty where it has none.
	Alias       string
	BuildID     uuid.UUID
	Size        Size
	EnvdVersion string
}

// FindStartable finds the build that a team's new sandboxes of a template begin as: one
// that a host with the isolation can start now, if there is any.
func (t *Service) FindStartable(ctx context.Context, teamID uuid.UUID, name string, demand sandbox.Isolation) (Startable, error) {
	wanted, err := ParseName("templateID", name)
	if err != nil {
		return Startable{}, err
	}
	build, err := newStore(t.pool).startable(ctx, teamID, wanted, demand)
	if errors.Is(err, errNoRow) {
		return Startable{}, t.missing(ctx, name)
	}
	if err != nil {
		return Startable{}, fmt.Errorf("find template %s: %w", name, err)
	}
	return build, nil
}

// missing returns NotFound, or Unavailable as long as no host has said which templates it
// has.
func (t *Service) missing(ctx context.Context, name string) error {
	seen, err := newStore(t.pool).hasSeenHost(ctx)
	if err != nil {
		return err
	}
	if !seen {
		return fault.New(fault.Unavailable, "no host is ready yet")
	}
	return notFound(name)
}
