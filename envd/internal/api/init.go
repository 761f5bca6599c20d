package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"git.omukk.dev/wrenn/sandbox/envd/internal/settings"
)

// initRequest is what the host tells a guest that was just started.
type initRequest struct {
	AccessToken    string            `json:"accessToken"`
	EnvVars        map[string]string `json:"envVars"`
	Timestamp      *time.Time        `json:"timestamp"`
	LifecycleID    string            `json:"lifecycleID"`
	DefaultUser    string            `json:"defaultUser"`
	DefaultWorkdir string            `json:"defaultWorkdir"`
}

// initialiser serialises /init and remembers what it must not do twice.
type initialiser struct {
	mutex     sync.Mutex
	timestamp time.Time // the newest the host has sent
	lifecycle string
}

const maxInitBytes = 4 << 20

// initialise takes the identity, time and settings of a guest that was
// booted or restored. Called twice, late or out of order it does no harm: an
// older time is ignored, and settings are set, not added up.
func (s *Server) initialise(w http.ResponseWriter, r *http.Request) {
	request, err := decodeInit(http.MaxBytesReader(w, r.Body, maxInitBytes))
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	// authenticate let /init through without the header: then the body must
	// show that its sender knows the token already.
	if s.settings.Token() != "" && r.Header.Get("X-Access-Token") == "" && !s.settings.TokenIs(request.AccessToken) {
		writeError(w, http.StatusUnauthorized, "the access token is wrong")
		return
	}
	if request.DefaultUser != "" {
		if _, err := s.settings.User(request.DefaultUser); err != nil {
			writeError(w, http.StatusBadRequest, "defaultUser: "+err.Error())
			return
		}
	}
	s.applyToMachine(request)
	s.settings.Apply(settings.Update{
		Token: request.AccessToken, Env: request.EnvVars, User: request.DefaultUser, Workdir: request.DefaultWorkdir,
	})
	s.ports.Restart()
	w.WriteHeader(http.StatusNoContent)
}

// applyToMachine sets the clock and draws new random numbers. A guest that
// cannot do either still serves; it says so in its log.
func (s *Server) applyToMachine(request initRequest) {
	s.init.mutex.Lock()
	defer s.init.mutex.Unlock()
	if request.Timestamp != nil && request.Timestamp.After(s.init.timestamp) {
		s.init.timestamp = *request.Timestamp
		if err := s.machine.SetClock(*request.Timestamp); err != nil {
			s.log.Error("set the clock", "error", err)
		}
	}
	if request.LifecycleID != "" && request.LifecycleID != s.init.lifecycle {
		s.init.lifecycle = request.LifecycleID
		if err := s.machine.Reseed(); err != nil {
			s.log.Warn("random numbers may repeat those of the snapshot", "error", err)
		}
	}
}

func decodeInit(body io.Reader) (initRequest, error) {
	var request initRequest
	err := json.NewDecoder(body).Decode(&request)
	if err != nil && !errors.Is(err, io.EOF) {
		return request, fmt.Errorf("malformed body: %w", err)
	}
	for name, value := range request.EnvVars {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(value, 0) {
			return request, fmt.Errorf("envVars: variable %q is malformed", name)
		}
	}
	if request.DefaultWorkdir != "" && !strings.HasPrefix(request.DefaultWorkdir, "/") {
		return request, errors.New("defaultWorkdir is not an absolute path")
	}
	return request, nil
}

// prepareSnapshot quiets envd before the host stops the virtual CPUs: what
// runs on its own stops, with its children, the collector runs and free memory goes back, so that the snapshot is small and
// no allocation is caught half-way.
func (s *Server) prepareSnapshot(w http.ResponseWriter, _ *http.Request) {
	s.ports.Stop()
	debug.FreeOSMemory()
	w.Header().Set("Connection", "close")
	w.WriteHeader(http.StatusNoContent)
}
