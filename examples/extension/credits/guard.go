package credits

import (
	"context"

	"git.omukk.dev/wrenn/sandbox/pkg/cpextension"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
)

// BeforeCreate refuses sandboxes that a team cannot pay for.
func (e *Extension) BeforeCreate(ctx context.Context, wanted sandboxes.Creation) error {
	credits, err := e.charge(ctx, wanted.TeamID)
	if err != nil {
		return err // refuses: nobody knows what the team has
	}
	if credits < int64(wanted.Count) {
		return cpextension.AskForPayment("the team has %d credits, and this takes %d", credits, wanted.Count)
	}
	return nil
}
