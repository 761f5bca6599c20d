package templates

import (
	"context"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
)

// Guard may refuse a build, for reasons that are not Wrenn's own. An error ends the
// operation before anything is stored.
type Guard interface {
	BeforeBuild(ctx context.Context, wanted Building) error
}

// Building is what a team asks for when it wants a template built.
type Building struct {
	TeamID uuid.UUID
	// TemplateID is the template that is built anew, "" for a new one.
	TemplateID string
	// Needs is what a sandbox of the template will need.
	Needs scheduler.Resources
}
