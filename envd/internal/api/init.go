package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"git.omukk.dev/wrenn/sandbox/envd/internal/host"
	"git.omukk.dev/wrenn/sandbox/envd/internal/mmds"
	"git.omukk.dev/wrenn/sandbox/envd/internal/settings"
	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/id"
	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/keys"
	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/utils"
)

// initialiser serialises calls of /init and holds what they compare with earlier ones.
type initialiser struct {
	mutex      chan struct{} // holds one token while no /init runs
	timestamp  time.Time     // the latest that the host has sent
	lifecycles []string      // IDs seen, the current one last
	knownUser  string        // the last one that was looked up
	// hasNoVolumes: the guest has no mounted volumes, so that they need not be listed
	// again.
	hasNoVolumes bool
}

// maxLifecycles bounds the IDs that are kept.
const maxLifecycles = 64

func newInitialiser() initialiser {
	mutex := make(chan struct{}, 1)
	mutex <- struct{}{}
	return initialiser{mutex: mutex}
}

var errWrongSecret = errors.New("only the sandbox's host may call this, with its secret in the header " + secretHeader)

// initialise gives a guest that was booted or restored its identity, time and settings,
// and restarts what was stopped for the snapshot. It is idempotent, and ignores requests
// that arrive late or out of order.
func (s *Server) initialise(w http.ResponseWriter, r *http.Request) {
	request, err := decodeInit(http.MaxBytesReader(w, r.Body, maxInitBytes))
	if err != nil {
		utils.WriteError(w, http.StatusBadRequest, err.Error())
		return
	}
	select {
	case <-s.init.mutex:
		defer func() { s.init.mutex <- struct{}{} }()
	case <-r.Context().Done():
		return
	}
	if err := s.checkUser(request.DefaultUser); err != nil {
		utils.WriteError(w, http.StatusBadRequest, "defaultUser: "+err.Error())
		return
	}
	metadata := s.readMetadata(r.Context())
	if err := s.authoriseInit(r, request, metadata); err != nil {
		utils.WriteError(w, http.StatusUnauthorized, err.Error())
		return
	}
	if !s.init.isNew(request) {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if err := s.apply(r.Context(), request, metadata); err != nil {
		s.log.ErrorContext(r.Context(), "take over what the host says", "error", err)
		utils.WriteError(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// checkUser looks up a user, unless it is the last one.
func (s *Server) checkUser(name string) error {
	if name == "" || name == s.init.knownUser {
		return nil
	}
	if _, err := s.settings.User(name); err != nil {
		return err
	}
	s.init.knownUser = name
	return nil
}

// authoriseInit accepts the current secret, or one whose digest is in the VMM's metadata,
// which no client can write. The body may also carry the current secret: a host that did
// not get the answer repeats its request, whose secret is in force by then.
func (s *Server) authoriseInit(r *http.Request, request initRequest, metadata mmds.Metadata) error {
	if metadata.SecretDigest != "" && request.Secret != "" {
		if !keys.Matches(request.Secret, metadata.SecretDigest) {
			return errors.New("the secret is not the one the metadata service vouches for")
		}
		return nil
	}
	if !s.settings.HasSecret() || s.settings.SecretIs(r.Header.Get(secretHeader)) || s.settings.SecretIs(request.Secret) {
		return nil
	}
	return errWrongSecret
}

func (s *Server) readMetadata(ctx context.Context) mmds.Metadata {
	if s.metadata == nil {
		return mmds.Metadata{}
	}
	metadata, err := s.metadata.Read(ctx)
	if err != nil {
		s.log.ErrorContext(ctx, "read metadata", "error", err)
	}
	return metadata
}

// isNew reports whether a request is neither late nor a repetition. An earlier time is
// accepted only with a new lifecycle ID: the host's clock may have been set back.
func (i *initialiser) isNew(request initRequest) bool {
	seen := slices.Contains(i.lifecycles, request.LifecycleID)
	switch {
	case i.begins(request.LifecycleID):
		return true
	case seen && request.LifecycleID != i.lifecycles[len(i.lifecycles)-1]:
		return false
	default:
		return request.Timestamp.IsZero() || !request.Timestamp.Before(i.timestamp)
	}
}

// begins reports whether a lifecycle ID is new.
func (i *initialiser) begins(life string) bool {
	return life != "" && !slices.Contains(i.lifecycles, life)
}

// apply applies the request, in an order in which each step finds what it needs. After a
// failed step it goes on, because a guest without it is still useful, and returns the
// error. Only a failure to reseed ends it: keys made from another guest's random numbers
// would not be secret.
func (s *Server) apply(ctx context.Context, request initRequest, metadata mmds.Metadata) error {
	s.applyTime(request)
	if err := s.applySeed(request); err != nil {
		return err
	}
	var failures []error
	attempt := func(what string, err error) {
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", what, err))
		}
	}
	variables := request.variables(metadata)
	if s.init.begins(request.LifecycleID) {
		sandbox, _ := id.ParseSandbox(variables["E2B_SANDBOX_ID"]) // absent or malformed: the name stays
		attempt("identity", s.machine.RenewIdentity(sandbox))
	}
	s.beginLife(request.LifecycleID)
	if s.held.Load() {
		attempt("thaw the file system", s.thawRootFilesystem())
	}
	if request.CABundle != "" {
		attempt("caBundle", s.machine.InstallCertificates([]byte(request.CABundle)))
	}
	if request.hostService.IsValid() {
		attempt("hyperloopIP", s.machine.SetHostService(request.hostService))
	}
	if len(request.VolumeMounts) > 0 || request.VolumeMounts != nil && !s.init.hasNoVolumes {
		err := s.machine.MountVolumes(ctx, request.VolumeMounts)
		s.init.hasNoVolumes = err == nil && len(request.VolumeMounts) == 0
		attempt("volumeMounts", err)
	}
	s.settings.Apply(settings.Update{
		Secret: request.Secret, Env: variables, User: request.DefaultUser, Workdir: request.DefaultWorkdir,
	})
	if s.groups.Usable() {
		attempt("thaw commands", s.groups.Thaw())
	}
	s.quiet(false)
	return errors.Join(failures...)
}

// applyTime sets the clock, and logs a failure.
func (s *Server) applyTime(request initRequest) {
	if request.Timestamp.IsZero() {
		return
	}
	s.init.timestamp = request.Timestamp
	if err := s.machine.SetClock(request.Timestamp); err != nil {
		s.log.Error("set the clock", "error", err)
	}
}

// applySeed reseeds the kernel's generator with the request's seed.
func (s *Server) applySeed(request initRequest) error {
	if request.RandomSeed == nil {
		if s.init.begins(request.LifecycleID) {
			s.log.Warn("random numbers may repeat those of the snapshot: the host gave none")
		}
		return nil
	}
	return s.machine.Reseed(host.Seed(request.RandomSeed), request.LifecycleID)
}

// beginLife ends the streams of an earlier lifecycle.
func (s *Server) beginLife(life string) {
	if !s.init.begins(life) {
		return
	}
	// Their clients are not connected any more, so they are not waited for.
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	s.endStreams(gone)
	s.init.lifecycles = append(s.init.lifecycles, life)
	s.init.lifecycles = s.init.lifecycles[max(0, len(s.init.lifecycles)-maxLifecycles):]
}

// variables are the request's and those with the IDs of sandbox and template; nil if there
// are none.
func (r *initRequest) variables(metadata mmds.Metadata) map[string]string {
	if r.EnvVars == nil && metadata.SandboxID == "" && metadata.TemplateID == "" {
		return nil
	}
	variables := make(map[string]string, len(r.EnvVars))
	for name, value := range map[string]string{"E2B_SANDBOX_ID": string(metadata.SandboxID), "E2B_TEMPLATE_ID": string(metadata.TemplateID)} {
		if value != "" {
			variables["E2B_SANDBOX"], variables[name] = "true", value
		}
	}
	for name, value := range r.EnvVars {
		variables[name] = value
	}
	return variables
}
