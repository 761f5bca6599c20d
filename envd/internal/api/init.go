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

// initialiser lets one /init work at a time and remembers what must not be
// done twice.
type initialiser struct {
	turn       chan struct{} // holds one token while nobody initialises
	timestamp  time.Time     // the newest the host has sent
	lifecycles []string      // those seen, the current one last
	knownUser  string        // that was found
	// hasNoVolumes is set once it was looked for those of earlier lives: most guests
	// never have any, and need not look again.
	hasNoVolumes bool
}

// maxLifecycles bounds what is remembered of a guest's earlier lives.
const maxLifecycles = 64

func newInitialiser() initialiser {
	turn := make(chan struct{}, 1)
	turn <- struct{}{}
	return initialiser{turn: turn}
}

var errWrongSecret = errors.New("only the sandbox's host may call this, with its secret in the header " + secretHeader)

// initialise gives a guest that was booted or restored its identity, time and
// settings, and sets going what was stopped for the snapshot. Called twice,
// late or out of order it does no harm: what is old is ignored, and settings
// are set, not added up.
func (s *Server) initialise(w http.ResponseWriter, r *http.Request) {
	request, err := decodeInit(http.MaxBytesReader(w, r.Body, maxInitBytes))
	if err != nil {
		utils.WriteError(w, http.StatusBadRequest, err.Error())
		return
	}
	select {
	case <-s.init.turn:
		defer func() { s.init.turn <- struct{}{} }()
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
	if !s.init.isNews(request) {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if err := s.apply(r.Context(), request, metadata); err != nil {
		s.log.Error("take over what the host says", "error", err)
		utils.WriteError(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// checkUser looks for a user once: each life brings the same one.
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

// authoriseInit accepts the current secret, or one whose digest is in the monitor's
// metadata, which no client can write. The body may carry the current one as well: a
// host that lost our answer repeats its request, whose secret is in force by then.
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
		s.log.Error("read metadata", "error", err)
	}
	return metadata
}

// isNews tells a late or repeated message from one that counts. An older time
// counts only in a life that was not seen yet: then the host's clock was set
// back while the guest was away.
func (i *initialiser) isNews(request initRequest) bool {
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

// begins tells whether a life begins.
func (i *initialiser) begins(life string) bool {
	return life != "" && !slices.Contains(i.lifecycles, life)
}

// apply does what the request says, in the order in which one thing needs the
// other, and goes on when one fails: a guest that lacks something shall still
// run, and its owner be told. But where the random numbers would be another
// guest's, so would the keys made of them: then nothing runs.
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
		sandbox, _ := id.ParseSandbox(variables["E2B_SANDBOX_ID"]) // a host of E2B's may set none, or another form
		attempt("identity", s.machine.RenewIdentity(sandbox))
	}
	s.beginLife(request.LifecycleID)
	if s.held.Load() {
		attempt("thaw the file system", s.letFilesystemGo())
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

// applyTime sets the clock. A guest that cannot still serves; it says so in
// its log.
func (s *Server) applyTime(request initRequest) {
	if request.Timestamp.IsZero() {
		return
	}
	s.init.timestamp = request.Timestamp
	if err := s.machine.SetClock(request.Timestamp); err != nil {
		s.log.Error("set the clock", "error", err)
	}
}

// applySeed draws new random numbers, each time that it is given a seed: a
// second one does no harm.
func (s *Server) applySeed(request initRequest) error {
	if request.RandomSeed == nil {
		if s.init.begins(request.LifecycleID) {
			s.log.Warn("random numbers may repeat those of the snapshot: the host gave none")
		}
		return nil
	}
	return s.machine.Reseed(host.Seed(request.RandomSeed), request.LifecycleID)
}

// beginLife ends what belongs to an earlier life.
func (s *Server) beginLife(life string) {
	if !s.init.begins(life) {
		return
	}
	// Clients of an earlier life are not at the other end of any connection.
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	s.endStreams(gone)
	s.init.lifecycles = append(s.init.lifecycles, life)
	s.init.lifecycles = s.init.lifecycles[max(0, len(s.init.lifecycles)-maxLifecycles):]
}

// variables are the request's, and those by which programs know where they are; nil
// where neither the request nor the monitor has any.
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
