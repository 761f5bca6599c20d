package sandboxes

import (
	"context"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
)

// Guard may refuse an operation that a team asks for, for reasons outside of Wrenn, such
// as an unpaid bill. It is asked before anything is stored or sent to a host; an error
// ends the operation. It is not asked about what Wrenn does by itself, such as the kill
// or pause of a sandbox whose time is over, or about operations of platform admins.
type Guard interface {
	BeforeCreate(ctx context.Context, wanted Creation) error
	BeforeFork(ctx context.Context, wanted Forking) error
	BeforeResume(ctx context.Context, wanted Resumption) error
	BeforePause(ctx context.Context, wanted Pausing) error
	BeforeKill(ctx context.Context, wanted Killing) error
	BeforeSnapshot(ctx context.Context, wanted Snapshotting) error
	BeforeNetworkUpdate(ctx context.Context, wanted NetworkUpdate) error
	BeforeSecretUse(ctx context.Context, wanted SecretUse) error
}

// Creation is new sandboxes that a team asks for, also as forks.
type Creation struct {
	TeamID uuid.UUID
	// TemplateID is that of the template, for forks of the parent's template.
	TemplateID string
	// ForkedFrom is the ID of the parent; empty for sandboxes that are no forks.
	ForkedFrom string
	// Count is the number of sandboxes, and Each what each of them needs.
	Count    int
	Each     scheduler.Resources
	Lifetime time.Duration
	Metadata map[string]string
}

// Forking is forks of a running sandbox. A Creation is asked about as well.
type Forking struct {
	Parent   sandbox.Sandbox
	Count    int
	Lifetime time.Duration
}

// Resumption is the resume of a paused sandbox, by its team or by traffic to it.
type Resumption struct {
	Sandbox  sandbox.Sandbox
	Needs    scheduler.Resources
	Lifetime time.Duration
}

// Pausing is the pause of a running sandbox.
type Pausing struct {
	Sandbox       sandbox.Sandbox
	WithoutMemory bool
}

// Killing is the kill of a sandbox.
type Killing struct{ Sandbox sandbox.Sandbox }

// Snapshotting is a snapshot of a running sandbox.
type Snapshotting struct {
	Sandbox sandbox.Sandbox
	// Name is the name that the snapshot is to have; it may be empty.
	Name          string
	WithoutMemory bool
}

// NetworkUpdate is a new network policy of a running sandbox.
type NetworkUpdate struct {
	Sandbox sandbox.Sandbox
	// Network is the whole policy as it is to be, without the values of headers and the
	// proxy's password.
	Network sandbox.Network
}

// SecretUse is the use of secrets in a network policy, of a new sandbox or of one whose
// policy is updated.
type SecretUse struct {
	TeamID uuid.UUID
	// SandboxID is empty for a new sandbox.
	SandboxID string
	// Names are those of the secrets.
	Names []string
	// Network is the policy, which says where they are sent, without the values of
	// headers and the proxy's password.
	Network sandbox.Network
}

// AllowAll is a Guard that allows everything. A Guard of some operations embeds it.
type AllowAll struct{}

// BeforeCreate returns nil.
func (AllowAll) BeforeCreate(context.Context, Creation) error { return nil }

// BeforeFork returns nil.
func (AllowAll) BeforeFork(context.Context, Forking) error { return nil }

// BeforeResume returns nil.
func (AllowAll) BeforeResume(context.Context, Resumption) error { return nil }

// BeforePause returns nil.
func (AllowAll) BeforePause(context.Context, Pausing) error { return nil }

// BeforeKill returns nil.
func (AllowAll) BeforeKill(context.Context, Killing) error { return nil }

// BeforeSnapshot returns nil.
func (AllowAll) BeforeSnapshot(context.Context, Snapshotting) error { return nil }

// BeforeNetworkUpdate returns nil.
func (AllowAll) BeforeNetworkUpdate(context.Context, NetworkUpdate) error { return nil }

// BeforeSecretUse returns nil.
func (AllowAll) BeforeSecretUse(context.Context, SecretUse) error { return nil }

// mayUseSecrets asks the guard about the secrets of a network policy, if it has any.
func (s *Service) mayUseSecrets(ctx context.Context, teamID uuid.UUID, sandboxID string, network sandbox.Network) error {
	references, err := network.References()
	if err != nil || len(references.Secrets) == 0 {
		return err
	}
	return s.guard.BeforeSecretUse(ctx, SecretUse{
		TeamID: teamID, SandboxID: sandboxID, Names: references.Secrets, Network: network.WithoutValues(),
	})
}
