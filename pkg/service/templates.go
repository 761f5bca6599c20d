package service

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
)

// Templates is the service of templates.
type Templates struct{ Queries *rows.Queries }

// TemplatePage is one page of a list of templates.
type TemplatePage struct {
	Templates []rows.ListTemplatesRow
	// NextToken is empty on the last page.
	NextToken string
}

// List returns a page of the templates that a team sees: its own and the
// installation's, newest first.
func (t *Templates) List(ctx context.Context, teamID uuid.UUID, pageSize int, pageToken string) (TemplatePage, error) {
	cursor, err := parseCursor(pageToken, false)
	if err != nil {
		return TemplatePage{}, err
	}
	found, err := t.Queries.ListTemplates(ctx, rows.ListTemplatesParams{
		TeamID: teamID, BeforeTime: cursor.time, BeforeID: cursor.id, PageSize: int32(pageSize) + 1,
	})
	if err != nil {
		return TemplatePage{}, fmt.Errorf("list templates: %w", err)
	}
	page := TemplatePage{Templates: found}
	if len(found) > pageSize {
		page.Templates = found[:pageSize]
		last := page.Templates[pageSize-1]
		page.NextToken = cursorAt(last.CreatedAt, last.ID).String()
	}
	return page, nil
}
