package sandbox

import (
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/workload"
)

// AgentPort is the port on which the guest agent listens in every sandbox. E2B's clients
// rely on it.
const AgentPort = 49983

// Sandbox is one sandbox of a team.
type Sandbox struct {
	ID     string
	TeamID uuid.UUID
	HostID uuid.UUID

	// TemplateID, Alias and BuildID are what it was created from; Alias is empty for a
	// template without one.
	TemplateID string
	Alias      string
	BuildID    uuid.UUID
	// ForkedFrom is the ID of the sandbox that it began as; empty for one that began as
	// a template.
	ForkedFrom string

	State State
	// Version grows with every change of State.
	Version int64
	// Claimant is the control plane that works on it; 0 for none.
	Claimant       int32
	StateChangedAt time.Time
	// Reason says for people why it is as it is; empty where that needs no explanation.
	Reason string
	// EndCause is set exactly while the state is Ending.
	EndCause EndCause
	// StartedAt is when it ran for the first time.
	StartedAt time.Time
	// EndAt is when its time is over, if it runs then.
	EndAt   time.Time
	EndedAt *time.Time

	Lifecycle Lifecycle
	// WithoutMemory is set where its last pause kept the file system only, so that a
	// resume boots it.
	WithoutMemory bool
	// GuestUnresponsive is set where it is paused with a memory whose guest agent did
	// not answer, so that only a resume without memory is possible.
	GuestUnresponsive bool

	VCPUCount   int32
	MemoryMiB   int32
	DiskMiB     int32
	EnvdVersion string

	Network      Network
	VolumeMounts []VolumeMount
	Metadata     map[string]string
	// IdentityTokens are those that the rules of Network may put into requests.
	IdentityTokens workload.Tokens
	// SecretNames are the secrets that the rules of Network refer to, in lower case.
	SecretNames []string
	// PlacementGroup is empty for none.
	PlacementGroup string
	// Isolation is what its hosts must give; empty is any.
	Isolation Isolation

	// Secure is set where its guest agent asks for a token.
	Secure bool
	// TokenEpoch grows when its tokens are revoked.
	TokenEpoch int64
}

// Lifecycle is what happens to a sandbox by itself.
type Lifecycle struct {
	// Timeout is how long it was last asked to run.
	Timeout time.Duration
	// AutoPause pauses it at the end of its time instead of killing it.
	AutoPause bool
	// AutoPauseWithoutMemory makes that pause keep the file system only.
	AutoPauseWithoutMemory bool
	// AutoResume lets traffic resume it.
	AutoResume bool
}

// VolumeMount is a volume and the absolute path where a sandbox has it.
type VolumeMount struct {
	VolumeID string
	Name     string
	Path     string
}

// Resumable reports whether traffic may resume a sandbox that does not run. One that
// was paused without memory, or with one that is of no use, would have to boot.
func (s Sandbox) Resumable() bool {
	if !s.Lifecycle.AutoResume || s.WithoutMemory || s.GuestUnresponsive {
		return false
	}
	switch s.State {
	case Pausing, Paused, Resuming:
		return true
	default:
		return false
	}
}

// Workload returns who the sandbox is in its identity tokens. Its forks are that too,
// each under its own ID.
func (s Sandbox) Workload() workload.Identity {
	if len(s.IdentityTokens) == 0 {
		return workload.Identity{}
	}
	return workload.Identity{TeamID: s.TeamID.String(), TemplateID: s.TemplateID, Tokens: s.IdentityTokens}
}

// Pause is how a sandbox is to be paused.
type Pause struct {
	// WithoutMemory keeps the file system only, and a resume boots it.
	WithoutMemory bool
	// RequireHealthyGuest lets it run on where its guest agent does not answer. Else its
	// memory is kept, and a resume has to leave it out.
	RequireHealthyGuest bool
}
