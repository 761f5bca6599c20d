package sandboxes

import (
	"context"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
)

// Guard may refuse what a team asks for, for reasons that are not Wrenn's own,
// such as a bill that was not paid. It is asked before anything is stored or
// locked. What it answers other than nil ends the operation.
type Guard interface {
	BeforeCreate(ctx context.Context, wanted Creation) error
	BeforeResume(ctx context.Context, wanted Resumption) error
}

// Creation is what a team asks for when it wants new sandboxes.
type Creation struct {
	TeamID uuid.UUID
	// TemplateID is the template's that they begin as, or the parent's template's.
	TemplateID string
	// ForkedFrom is the sandbox that they begin as; "" where that is a template.
	ForkedFrom string
	// Count is how many are wanted, and Each what each of them needs.
	Count    int
	Each     scheduler.Resources
	Lifetime time.Duration
	Metadata map[string]string
}

// Resumption is what a team, or traffic, asks for when a paused sandbox is wanted
// back.
type Resumption struct {
	TeamID    uuid.UUID
	SandboxID string
	Needs     scheduler.Resources
	Lifetime  time.Duration
}
