package sandboxes

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/requestlog"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
	"git.omukk.dev/wrenn/sandbox/pkg/service/placement"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
	"git.omukk.dev/wrenn/sandbox/pkg/validate"
	"git.omukk.dev/wrenn/sandbox/pkg/workload"
)

// everywhere is the subnet that stands for the whole internet.
const everywhere = "0.0.0.0/0"

// NewSandbox is what a client asks for.
type NewSandbox struct {
	// Template is a template's ID or name, such as name, name:tag or team/name, or
	// the ID of a build.
	Template       string
	TimeoutSeconds int32
	// AutoPause pauses the sandbox at the end of its time instead of killing it.
	AutoPause bool
	// AutoPauseWithoutMemory makes that pause keep the file system only.
	AutoPauseWithoutMemory bool
	// AutoResume lets traffic bring the sandbox back when it is paused.
	AutoResume          bool
	AllowInternetAccess *bool
	// Insecure lets anyone who knows the sandbox's ID use its guest agent, without a
	// token.
	Insecure bool
	Network  rows.Network
	// IdentityTokens are those that the network's rules may put into requests.
	IdentityTokens workload.Tokens
	Metadata       map[string]string
	EnvVars        map[string]string
	Affinity       placement.Affinity
	VolumeMounts   []VolumeMount

	// Idempotency makes it safe to send the request again.
	Idempotency Idempotency

	// mounts are VolumeMounts as they were found, all of them on volumeHost.
	mounts     []rows.VolumeMount
	volumeHost uuid.UUID
	// secrets are what Network refers to.
	secrets host.Secrets
}

var errInsecure = fault.New(fault.Invalid,
	"secure: false is not allowed on this server: its operator has not set WRENN_ALLOW_INSECURE_SANDBOXES")

func (n NewSandbox) validate() error {
	if n.Template == "" {
		return fault.New(fault.Invalid, "templateID is missing")
	}
	if _, err := templates.ParseName("templateID", n.Template); err != nil {
		return err
	}
	if n.AutoPauseWithoutMemory && !n.AutoPause {
		return fault.New(fault.Invalid, "autoPauseMemory: false is only possible with autoPause: true")
	}
	if n.AutoResume && n.AutoPauseWithoutMemory {
		return fault.New(fault.Invalid, "autoResume is not possible with autoPauseMemory: false, because traffic does not boot a sandbox")
	}
	if err := n.Affinity.Validate(); err != nil {
		return err
	}
	if err := validateMounts(n.VolumeMounts); err != nil {
		return err
	}
	if err := validate.Metadata(n.Metadata); err != nil {
		return err
	}
	if err := n.IdentityTokens.Validate(); err != nil {
		return fault.New(fault.Invalid, "iam.tokens: %s", err)
	}
	return validate.Environment(n.EnvVars)
}

// Create starts a sandbox. If anything fails, or the client leaves before it can
// be told, nothing of the sandbox is left.
func (s *Service) Create(ctx context.Context, teamID uuid.UUID, wanted NewSandbox) (rows.Sandbox, error) {
	if wanted.Idempotency != (Idempotency{}) {
		return s.createOnce(ctx, teamID, wanted)
	}
	return s.create(ctx, teamID, wanted)
}

func (s *Service) create(ctx context.Context, teamID uuid.UUID, wanted NewSandbox) (rows.Sandbox, error) {
	if err := wanted.validate(); err != nil {
		return rows.Sandbox{}, err
	}
	if wanted.Insecure && !s.AllowInsecure {
		return rows.Sandbox{}, errInsecure
	}
	if err := s.validateNetwork(wanted.Network, wanted.AllowInternetAccess); err != nil {
		return rows.Sandbox{}, err
	}
	if err := checkTokens(wanted.Network, wanted.IdentityTokens); err != nil {
		return rows.Sandbox{}, err
	}
	lifetime, err := validate.Lifetime("timeout", wanted.TimeoutSeconds, s.MaxTimeout)
	if err != nil {
		return rows.Sandbox{}, err
	}
	if wanted.secrets, err = s.secretsOf(ctx, teamID, wanted.Network); err != nil {
		return rows.Sandbox{}, err
	}
	build, err := s.Templates.FindStartable(ctx, teamID, wanted.Template)
	if err != nil {
		return rows.Sandbox{}, err
	}
	if wanted.mounts, wanted.volumeHost, err = s.findMounts(ctx, teamID, wanted.VolumeMounts); err != nil {
		return rows.Sandbox{}, err
	}
	if err := s.mayCreate(ctx, teamID, wanted, build, lifetime); err != nil {
		return rows.Sandbox{}, err
	}
	running, err := s.createSomewhere(ctx, teamID, wanted, build, lifetime)
	if err != nil {
		return rows.Sandbox{}, err
	}
	if err := s.Queries.CountTemplateSpawn(ctx, build.TemplateID); err != nil {
		s.Log.Warn("count a template's use", "template", build.TemplateID, "error", err)
	}
	return running, nil
}

func (s *Service) mayCreate(ctx context.Context, teamID uuid.UUID, wanted NewSandbox, build rows.FindStartableBuildRow, lifetime time.Duration) error {
	if s.Guard == nil {
		return nil
	}
	return s.Guard.BeforeCreate(ctx, Creation{
		TeamID: teamID, TemplateID: build.TemplateID, Count: 1, Each: needsOf(build), Lifetime: lifetime, Metadata: wanted.Metadata,
	})
}

func needsOf(build rows.FindStartableBuildRow) scheduler.Resources {
	return scheduler.Resources{VCPUs: int64(build.VCPUCount), MemoryMiB: int64(build.MemoryMiB), DiskMiB: int64(build.DiskMiB)}
}

// createSomewhere tries other hosts where one has less room than it promised.
func (s *Service) createSomewhere(ctx context.Context, teamID uuid.UUID, wanted NewSandbox, build rows.FindStartableBuildRow, lifetime time.Duration) (rows.Sandbox, error) {
	const attempts = 3
	var full []uuid.UUID
	var refused error
	for {
		creating, err := s.place(ctx, teamID, wanted, build, full)
		if refused != nil && fault.ReasonOf(err) == fault.NoCapacity {
			return rows.Sandbox{}, refused // the host has said what is short
		}
		if err != nil {
			return rows.Sandbox{}, err
		}
		running, err := s.createOn(ctx, creating, wanted, lifetime)
		s.countCreate(ctx, creating.HostID, err == nil)
		full = append(full, creating.HostID)
		if fault.ReasonOf(err) != fault.NoCapacity || len(full) == attempts {
			return running, err
		}
		refused = err
	}
}

// countCreate counts what a host's creates come to; nothing depends on it.
func (s *Service) countCreate(ctx context.Context, hostID uuid.UUID, created bool) {
	err := s.Queries.CountHostCreate(ctx, rows.CountHostCreateParams{HostID: hostID, Created: created})
	if err != nil && ctx.Err() == nil {
		s.Log.Warn("count a host's create", "host", hostID, "error", err)
	}
}

// createOn makes a sandbox on the host that it was given. If that fails nothing
// of it is left.
func (s *Service) createOn(ctx context.Context, creating rows.Sandbox, wanted NewSandbox, lifetime time.Duration) (rows.Sandbox, error) {
	running, err := s.start(ctx, creating, wanted, lifetime)
	if err == nil {
		err = ctx.Err() // a sandbox that nobody will hear of must not stay
	}
	if err != nil {
		if running.ID == "" {
			running = creating
		}
		s.abandon(ctx, running)
		return rows.Sandbox{}, err
	}
	return running, nil
}

// place finds a host and stores the sandbox on it, where it now holds its room.
func (s *Service) place(ctx context.Context, teamID uuid.UUID, wanted NewSandbox, build rows.FindStartableBuildRow, avoid []uuid.UUID) (rows.Sandbox, error) {
	request := scheduler.Request{Build: build.BuildID, Host: wanted.volumeHost, Avoid: avoid, Needs: needsOf(build)}
	wanted.Affinity.Apply(&request, teamID)
	return s.Placement.Place(ctx, teamID, request, func(ctx context.Context, queries *rows.Queries, hostID uuid.UUID) (rows.Sandbox, error) {
		return s.insert(ctx, queries, teamID, hostID, wanted, build)
	})
}

func (s *Service) insert(ctx context.Context, queries *rows.Queries, teamID, hostID uuid.UUID, wanted NewSandbox, build rows.FindStartableBuildRow) (rows.Sandbox, error) {
	metadata := wanted.Metadata
	if metadata == nil {
		metadata = map[string]string{}
	}
	sandbox, err := queries.CreateSandbox(ctx, rows.CreateSandboxParams{
		ID: id.NewSandbox(), TeamID: teamID, HostID: hostID,
		TemplateID: build.TemplateID, Alias: build.Alias, BuildID: build.BuildID,
		State: lifecycle.Creating, Claimant: s.Claimant.ID(), EndAt: time.Now(), AutoPause: wanted.AutoPause,
		AllowInternetAccess: wanted.AllowInternetAccess, Network: wanted.Network.WithoutValues(), Metadata: metadata,
		VCPUCount: build.VCPUCount, MemoryMiB: build.MemoryMiB, DiskMiB: build.DiskMiB, EnvdVersion: build.EnvdVersion,
		AutoPauseMemory: !wanted.AutoPauseWithoutMemory, AutoResume: wanted.AutoResume, Secure: !wanted.Insecure,
		IamTokens: wanted.IdentityTokens,
	})
	if err != nil {
		return rows.Sandbox{}, fmt.Errorf("store new sandbox: %w", err)
	}
	requestlog.SetSandbox(ctx, sandbox.ID)
	if err := s.linkKey(ctx, queries, sandbox, wanted.Idempotency.Key); err != nil {
		return rows.Sandbox{}, err
	}
	err = storeMounts(ctx, queries, &sandbox, wanted.mounts)
	return sandbox, err
}

func (s *Service) start(ctx context.Context, creating rows.Sandbox, wanted NewSandbox, lifetime time.Duration) (rows.Sandbox, error) {
	ctx, cancel := context.WithTimeout(ctx, operation.Timeout)
	defer cancel()
	seen, err := s.Hosts.Agent(creating.HostID).CreateSandbox(ctx, host.Creation{
		SandboxID: creating.ID, BuildID: creating.BuildID.String(), RequestID: creating.ID,
		Network: hostNetwork(wanted.Network, wanted.AllowInternetAccess), VolumeMounts: hostMounts(creating.VolumeMounts),
		Secrets: wanted.secrets, Workload: workloadOf(creating),
		Identity: host.Identity{
			EnvVars:     environment(creating, wanted.EnvVars),
			LifecycleID: uuid.NewString(),
		},
	})
	if fault.Is(err, fault.NotFound) {
		return rows.Sandbox{}, fault.Wrap(fault.Unavailable, err, "the template is not on its host at the moment").Because(fault.NoCompatibleHost)
	}
	if err != nil {
		return rows.Sandbox{}, notMade(err, "the sandbox could not be started on its host")
	}
	return s.startRunning(ctx, creating, seen, lifetime)
}

// workloadOf is who a sandbox is in its identity tokens. Its forks are that, too, each
// under its own ID.
func workloadOf(sandbox rows.Sandbox) workload.Identity {
	if len(sandbox.IamTokens) == 0 {
		return workload.Identity{}
	}
	return workload.Identity{TeamID: sandbox.TeamID.String(), TemplateID: sandbox.TemplateID, Tokens: sandbox.IamTokens}
}

// notMade turns a host's refusal of a create into what the client is told.
func notMade(err error, message string) error {
	switch code, reason := fault.CodeOf(err), fault.ReasonOf(err); {
	case errors.Is(err, context.Canceled) || db.IsUnavailable(err):
		return err
	case code == fault.Timeout:
		return fault.Wrap(code, err, "the host took too long to start the sandbox").Because(fault.PlacementTimeout)
	case reason == fault.Broken, reason == fault.CreateRefused:
		return fault.Wrap(fault.Internal, err, "%s; trying again will not help", message).Because(fault.CreateRefused)
	case reason == fault.NoCompatibleHost:
		return fault.Wrap(fault.Unavailable, err, "the host cannot start this template").Because(reason)
	case code == fault.Internal, reason == fault.GuestUnresponsive, reason == fault.MachineEnded:
		return fault.Wrap(fault.Internal, err, "%s", message).Because(fault.CreateFailed)
	default:
		return err
	}
}

// environment is what the caller set, and the names by which programs learn
// that they run in a sandbox, and in which.
func environment(sandbox rows.Sandbox, wanted map[string]string) map[string]string {
	variables := map[string]string{
		"E2B_SANDBOX": "true", "E2B_SANDBOX_ID": sandbox.ID, "E2B_TEMPLATE_ID": sandbox.TemplateID,
	}
	maps.Copy(variables, wanted)
	return variables
}

// abandon ends a sandbox that was not created as a whole.
func (s *Service) abandon(ctx context.Context, sandbox rows.Sandbox) {
	ctx, cancel := operation.Detach(ctx)
	defer cancel()
	killing, err := s.transition(ctx, sandbox, lifecycle.Killing, "not created")
	if err != nil {
		// The row stays in the name of this process; Reconcile ends it when that is
		// allowed. The VM need not wait for that.
		s.Log.Error("give up a sandbox that was not created", "sandbox", sandbox.ID, "error", err)
		killing = sandbox
	}
	if err := s.Hosts.Agent(sandbox.HostID).KillSandbox(ctx, sandbox.ID); err != nil {
		s.Log.Warn("kill a sandbox that was not created", "sandbox", sandbox.ID, "error", err)
		return
	}
	if killing.State == lifecycle.Killing {
		if _, err := s.transition(ctx, killing, lifecycle.Killed, "not created"); err != nil {
			s.Log.Warn("end a sandbox that was not created", "sandbox", sandbox.ID, "error", err)
		}
	}
}
