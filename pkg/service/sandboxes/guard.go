package sandboxes

import (
	"context"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
)

// Guard refuses what a team may not have for reasons that Wrenn does not know, such as an
// unpaid bill. It is called before anything is stored or locked. Its error ends the
// operation.
type Guard interface {
	BeforeCreate(ctx context.Context, wanted Creation) error
	BeforeResume(ctx context.Context, wanted Resumption) error
}

// Creation is a request for new sandboxes.
type Creation struct {
	TeamID uuid.UUID
	// TemplateID is the template of the new sandboxes; for forks, the parent's.
	TemplateID string
	// ForkedFrom is the parent of forks; empty for others.
	ForkedFrom string
	// Count is the number of sandboxes, and Each the resources of one.
	Count    int
	Each     scheduler.Resources
	Lifetime time.Duration
	Metadata map[string]string
}

// Resumption is a request, of a team or by traffic, to resume a sandbox.
type Resumption struct {
	TeamID    uuid.UUID
	SandboxID string
	Needs     scheduler.Resources
	Lifetime  time.Duration
}
