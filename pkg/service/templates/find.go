package templates

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// Find returns a template that a team may use: its own, or a public one.
func (t *Service) Find(ctx context.Context, teamID uuid.UUID, name string) (Template, error) {
	parsed, err := ParseName("templateID", name)
	if err != nil {
		return Template{}, notFound(name)
	}
	return t.find(ctx, teamID, parsed)
}

// FindTagged is Find for a name that may have a tag: then a ready build must have that
// tag.
func (t *Service) FindTagged(ctx context.Context, teamID uuid.UUID, name string) (Template, error) {
	wanted, err := ParseName("alias", name)
	if err != nil {
		return Template{}, err
	}
	template, err := t.find(ctx, teamID, wanted)
	if err != nil || !wanted.tagged {
		return template, err
	}
	_, err = t.taggedBuild(ctx, template, wanted.tag)
	return template, err
}

func (t *Service) find(ctx context.Context, teamID uuid.UUID, wanted Name) (Template, error) {
	template, err := newStore(t.pool).find(ctx, teamID, wanted)
	if errors.Is(err, errNoRow) {
		return Template{}, notFound(wanted.name)
	}
	if err != nil {
		return Template{}, fmt.Errorf("find template %s: %w", wanted.name, err)
	}
	return template, nil
}

// FindOwn returns a template that is the team's own. It returns Forbidden for one that
// the team may only use.
func (t *Service) FindOwn(ctx context.Context, teamID uuid.UUID, name string) (Template, error) {
	template, err := t.Find(ctx, teamID, name)
	if err != nil {
		return Template{}, err
	}
	return template, template.ownedBy(teamID)
}

func (t Template) ownedBy(teamID uuid.UUID) error {
	if t.TeamID == nil || *t.TeamID != teamID {
		return fault.New(fault.Forbidden, "template %s is not the team's own", t.ID)
	}
	return nil
}

// Publish lets every team use a template, or its own team only; nil changes
// nothing.
func (t *Service) Publish(ctx context.Context, teamID uuid.UUID, name string, public *bool) (Template, error) {
	template, err := t.FindOwn(ctx, teamID, name)
	if err != nil || public == nil {
		return template, err
	}
	err = inTransaction(ctx, t.pool, func(tx *changes) error { return tx.publish(ctx, template, *public) })
	if err != nil {
		return Template{}, err
	}
	template.Public = *public
	return template, nil
}

func notFound(name string) error {
	return fault.New(fault.NotFound, "template %.64q was not found", name)
}
