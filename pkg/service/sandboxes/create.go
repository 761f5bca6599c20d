package sandboxes

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
	"git.omukk.dev/wrenn/sandbox/pkg/requestlog"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
	"git.omukk.dev/wrenn/sandbox/pkg/service/idempotency"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
	"git.omukk.dev/wrenn/sandbox/pkg/service/placement"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
	"git.omukk.dev/wrenn/sandbox/pkg/service/volumes"
	"git.omukk.dev/wrenn/sandbox/pkg/store"
	"git.omukk.dev/wrenn/sandbox/pkg/validate"
	"git.omukk.dev/wrenn/sandbox/pkg/workload"
)

// NewSandbox is a sandbox that a client asks for.
type NewSandbox struct {
	// Template is a template's ID or name, such as name, name:tag or team/name, or
	// the ID of a build.
	Template       string
	TimeoutSeconds int32
	// Size is another than the template's.
	Size WantedSize
	// Lifecycle has no Timeout yet.
	Lifecycle sandbox.Lifecycle
	// Insecure makes a guest agent that asks for no token.
	Insecure bool
	Network  sandbox.Network
	// IdentityTokens are those that the network's rules may put into requests.
	IdentityTokens workload.Tokens
	Metadata       map[string]string
	EnvVars        map[string]string
	Affinity       placement.Affinity
	// Isolation is what the host must give; empty is any that the team allows.
	Isolation sandbox.Isolation
	// VolumeMounts have no VolumeID yet.
	VolumeMounts []sandbox.VolumeMount

	// Idempotency makes it safe to send the request again; the zero value does not.
	Idempotency idempotency.Request
}

// creation is a sandbox that is to be placed.
type creation struct {
	// wanted has no ID and no host yet.
	wanted   sandbox.Sandbox
	lifetime time.Duration
	envVars  map[string]string
	secrets  sandbox.Secrets
	affinity placement.Affinity
	// size is zero where the sandbox has its build's.
	size host.Size
	// volumeHost is the only host that can have the sandbox; the zero UUID is any.
	volumeHost uuid.UUID
	key        string
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
	if n.Lifecycle.AutoPauseWithoutMemory && !n.Lifecycle.AutoPause {
		return fault.New(fault.Invalid, "autoPauseMemory: false is only possible with autoPause: true")
	}
	if n.Lifecycle.AutoResume && n.Lifecycle.AutoPauseWithoutMemory {
		return fault.New(fault.Invalid, "autoResume is not possible with autoPauseMemory: false, because traffic does not boot a sandbox")
	}
	if err := n.Affinity.Validate(); err != nil {
		return err
	}
	if err := volumes.ValidateMounts(n.VolumeMounts); err != nil {
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

// Create creates a sandbox. Where it fails, or the client disconnects before it is
// answered, the sandbox is killed.
func (s *Service) Create(ctx context.Context, teamID uuid.UUID, wanted NewSandbox) (sandbox.Sandbox, error) {
	if wanted.Idempotency == (idempotency.Request{}) {
		return s.create(ctx, teamID, wanted)
	}
	made, err := s.keys.Claim(ctx, teamID, wanted.Idempotency)
	if err != nil || made.ID != "" {
		return made, err
	}
	running, err := s.create(ctx, teamID, wanted)
	if err == nil {
		if err = s.keys.Finish(ctx, running, wanted.Idempotency.Key); err != nil {
			s.abandon(ctx, running)
		}
	}
	if err != nil {
		s.forgetKey(ctx, teamID, wanted.Idempotency.Key)
		return sandbox.Sandbox{}, err
	}
	return running, nil
}

func (s *Service) forgetKey(ctx context.Context, teamID uuid.UUID, key string) {
	ctx, cancel := operation.Detach(ctx)
	defer cancel()
	if err := s.keys.Forget(ctx, teamID, key); err != nil {
		s.log.WarnContext(ctx, "forget an idempotency key", "team", teamID, "error", err)
	}
}

func (s *Service) create(ctx context.Context, teamID uuid.UUID, wanted NewSandbox) (sandbox.Sandbox, error) {
	planned, err := s.plan(ctx, teamID, wanted)
	if err != nil {
		return sandbox.Sandbox{}, err
	}
	return s.createSomewhere(ctx, planned)
}

// plan checks what a client asks for and finds what it names.
func (s *Service) plan(ctx context.Context, teamID uuid.UUID, wanted NewSandbox) (creation, error) {
	if err := wanted.validate(); err != nil {
		return creation{}, err
	}
	if wanted.Insecure && !s.options.AllowInsecure {
		return creation{}, errInsecure
	}
	if err := s.validateNetwork(wanted.Network); err != nil {
		return creation{}, err
	}
	if err := checkTokens(wanted.Network, wanted.IdentityTokens); err != nil {
		return creation{}, err
	}
	lifetime, err := validate.Lifetime("timeout", wanted.TimeoutSeconds, s.options.MaxTimeout)
	if err != nil {
		return creation{}, err
	}
	secrets, err := s.secretsOf(ctx, teamID, wanted.Network)
	if err != nil {
		return creation{}, err
	}
	isolation, err := placement.DemandIsolation(ctx, s.pool, teamID, wanted.Isolation)
	if err != nil {
		return creation{}, err
	}
	build, err := s.templates.FindStartable(ctx, teamID, wanted.Template, isolation)
	if err != nil {
		return creation{}, err
	}
	size, other, err := s.sizeOf(ctx, teamID, wanted.Size, build.Size)
	if err != nil {
		return creation{}, err
	}
	var mounts []sandbox.VolumeMount
	var volumeHost uuid.UUID
	if len(wanted.VolumeMounts) > 0 {
		if mounts, volumeHost, err = s.volumes.FindMounts(ctx, teamID, wanted.VolumeMounts); err != nil {
			return creation{}, err
		}
	}
	planned := creation{
		wanted: sandbox.Sandbox{
			TeamID: teamID, TemplateID: build.TemplateID, Alias: build.Alias, BuildID: build.BuildID,
			State: sandbox.Creating, Claimant: s.claimant.ID(), Lifecycle: wanted.Lifecycle, Network: wanted.Network,
			VCPUCount: size.VCPUCount, MemoryMiB: size.MemoryMiB, DiskMiB: size.DiskMiB, EnvdVersion: build.EnvdVersion,
			Metadata: wanted.Metadata, IdentityTokens: wanted.IdentityTokens, VolumeMounts: mounts, Isolation: isolation, Secure: !wanted.Insecure,
		},
		lifetime: lifetime, envVars: wanted.EnvVars, secrets: secrets,
		affinity: wanted.Affinity, size: other, volumeHost: volumeHost, key: wanted.Idempotency.Key,
	}
	err = s.guard.BeforeCreate(ctx, Creation{
		TeamID: teamID, TemplateID: build.TemplateID, Count: 1, Each: needsLike(planned.wanted), Lifetime: lifetime, Metadata: wanted.Metadata,
	})
	if err != nil {
		return creation{}, err
	}
	return planned, s.mayUseSecrets(ctx, teamID, "", wanted.Network)
}

// needsLike returns the resources of a sandbox.
func needsLike(of sandbox.Sandbox) scheduler.Resources {
	return scheduler.Resources{VCPUs: int64(of.VCPUCount), MemoryMiB: int64(of.MemoryMiB), DiskMiB: int64(of.DiskMiB)}
}

// createSomewhere tries another host where one has less room than it has promised.
func (s *Service) createSomewhere(ctx context.Context, planned creation) (sandbox.Sandbox, error) {
	const attempts = 3
	var full []uuid.UUID
	var refused error
	for {
		creating, err := s.place(ctx, planned, full)
		if refused != nil && fault.ReasonOf(err) == fault.NoCapacity {
			return sandbox.Sandbox{}, refused // it names what the host lacks
		}
		if err != nil {
			return sandbox.Sandbox{}, err
		}
		running, err := s.createOn(ctx, creating, planned)
		if err != nil {
			s.countFailure(ctx, creating)
		}
		full = append(full, creating.HostID)
		if fault.ReasonOf(err) != fault.NoCapacity || len(full) == attempts {
			return running, err
		}
		refused = err
	}
}

func (s *Service) countFailure(ctx context.Context, creating sandbox.Sandbox) {
	if err := s.placement.CountFailure(ctx, creating.HostID); err != nil && ctx.Err() == nil {
		s.logger(creating).WarnContext(ctx, "count a host's failed create", "host", creating.HostID, "error", err)
	}
}

// createOn creates a sandbox on its host. Where it fails, the sandbox is killed.
func (s *Service) createOn(ctx context.Context, creating sandbox.Sandbox, planned creation) (sandbox.Sandbox, error) {
	running, err := s.start(ctx, creating, planned)
	if err == nil {
		err = ctx.Err() // the client has disconnected and never learns of the sandbox
	}
	if err != nil {
		if running.ID == "" {
			running = creating
		}
		s.abandon(ctx, running)
		return sandbox.Sandbox{}, err
	}
	return running, nil
}

// place finds a host and stores the sandbox on it. From then on the sandbox takes room.
func (s *Service) place(ctx context.Context, planned creation, avoid []uuid.UUID) (sandbox.Sandbox, error) {
	creating := planned.wanted
	creating.ID = id.NewSandbox()
	request := scheduler.Request{Build: creating.BuildID, Host: planned.volumeHost, Avoid: avoid, Needs: needsLike(creating), Isolation: creating.Isolation}
	planned.affinity.Apply(&request, creating.TeamID)
	creating.PlacementGroup = request.Group
	return s.placement.Place(ctx, creating.TeamID, request, func(ctx context.Context, tx pgx.Tx, hostID uuid.UUID) (sandbox.Sandbox, error) {
		creating.HostID = hostID
		if err := s.keys.Link(ctx, tx, creating, planned.key); err != nil {
			return sandbox.Sandbox{}, err
		}
		requestlog.SetSandbox(ctx, creating.ID)
		return store.NewSandboxes(tx).Insert(ctx, creating)
	})
}

func (s *Service) start(ctx context.Context, creating sandbox.Sandbox, planned creation) (sandbox.Sandbox, error) {
	if err := s.prepareSize(ctx, creating, planned.size); err != nil {
		return sandbox.Sandbox{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, operation.Timeout)
	defer cancel()
	creating.Network = planned.wanted.Network // with its values, which are not stored
	seen, err := s.hosts.Agent(creating.HostID).CreateSandbox(ctx, host.Creation{
		Sandbox: creating, EnvVars: environment(creating, planned.envVars), Secrets: planned.secrets, Size: planned.size,
	})
	if fault.Is(err, fault.NotFound) {
		return sandbox.Sandbox{}, notOnHost(err)
	}
	if err != nil {
		return sandbox.Sandbox{}, notMade(err, "the sandbox could not be started on its host")
	}
	return s.startRunning(ctx, creating, seen, planned.lifetime)
}

// notMade returns the error for the client where a host has not created a sandbox.
func notMade(err error, message string) error {
	switch code, reason := fault.CodeOf(err), fault.ReasonOf(err); {
	case errors.Is(err, context.Canceled) || db.IsUnavailable(err), code == fault.Invalid:
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

// environment returns the variables that the client wants, and those by which programs
// learn that they run in a sandbox, and in which.
func environment(of sandbox.Sandbox, wanted map[string]string) map[string]string {
	variables := map[string]string{
		"E2B_SANDBOX": "true", "E2B_SANDBOX_ID": of.ID, "E2B_TEMPLATE_ID": of.TemplateID,
	}
	maps.Copy(variables, wanted)
	return variables
}

// abandon kills a sandbox whose creation has failed.
func (s *Service) abandon(ctx context.Context, made sandbox.Sandbox) {
	ctx, cancel := operation.Detach(ctx)
	defer cancel()
	killing, err := s.move(ctx, made, store.Outcome{State: sandbox.Killing, Cause: sandbox.CauseNotCreated})
	if err != nil {
		// The row stays claimed by this process until Reconcile takes it for abandoned. The
		// VM is killed at once.
		s.logger(made).ErrorContext(ctx, "give up a sandbox that was not created", "error", err)
		killing = made
	}
	if err := s.hosts.Agent(made.HostID).KillSandbox(ctx, made.ID); err != nil {
		s.logger(made).WarnContext(ctx, "kill a sandbox that was not created", "error", err)
		return
	}
	if killing.State == sandbox.Killing {
		if _, err := s.move(ctx, killing, store.Outcome{State: sandbox.Killed}); err != nil {
			s.logger(made).WarnContext(ctx, "end a sandbox that was not created", "error", err)
		}
	}
}
