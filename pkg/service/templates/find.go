package templates

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// Template is a template or a snapshot, which is one of its team.
type Template struct {
	rows.FindTemplateRow
}

// Names are those that every team may use it by, as far as it may use it at all.
func (t Template) Names() []string { return Names(t.TeamSlug, t.Aliases) }

// TemplateNames puts a team's slug before its aliases; "" is the installation's.
func Names(teamSlug string, aliases []string) []string {
	names := make([]string, 0, len(aliases))
	for _, alias := range aliases {
		if teamSlug != "" {
			alias = teamSlug + "/" + alias
		}
		names = append(names, alias)
	}
	return names
}

// Find returns a template that a team may use: its own, or a public one.
func (t *Service) Find(ctx context.Context, teamID uuid.UUID, name string) (Template, error) {
	parsed, err := ParseName("templateID", name)
	if err != nil {
		return Template{}, notFound(name)
	}
	return t.find(ctx, teamID, parsed)
}

// FindTagged is Find for a name that may have a tag: then a build that is ready must
// have that tag.
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
	row, err := t.Queries.FindTemplate(ctx, rows.FindTemplateParams{TeamID: teamID, TeamSlug: wanted.team, Name: wanted.name})
	if errors.Is(err, pgx.ErrNoRows) {
		return Template{}, notFound(wanted.name)
	}
	if err != nil {
		return Template{}, fmt.Errorf("find template %s: %w", wanted.name, err)
	}
	return Template{row}, nil
}

// FindOwn returns a template that is the team's own. It answers Forbidden for one
// that the team may use only.
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
	if err := t.Queries.PublishTemplate(ctx, rows.PublishTemplateParams{ID: template.ID, Public: *public}); err != nil {
		return Template{}, fmt.Errorf("publish template %s: %w", template.ID, err)
	}
	template.Public = *public
	return template, nil
}

func notFound(name string) error {
	return fault.New(fault.NotFound, "template %.64q was not found", name)
}
