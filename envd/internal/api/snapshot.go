package api

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"git.omukk.dev/wrenn/sandbox/envd/internal/host"
	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/utils"
)

// streamsTimeout bounds how long the end of streams is waited for.
const streamsTimeout = 2 * time.Second

// prepareSnapshot stops envd's activity before the host stops the virtual CPUs: it ends
// streams, stops the port subsystem with its child processes, closes idle connections,
// collects garbage and returns free memory. The snapshot is then small, and does not
// contain the runtime in the middle of an allocation.
func (s *Server) prepareSnapshot(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get(keepStreams) != "true" {
		s.endStreams(r.Context())
	}
	s.syncVolumes(r.Context())
	s.quiet(true)
	if r.URL.Query().Get(forgetEnvironment) == "true" {
		s.settings.ForgetEnv()
		runtime.GC() // a second collection frees what pools hold
	}
	debug.FreeOSMemory()
	w.WriteHeader(http.StatusNoContent)
}

// syncTimeout bounds the writing to volumes.
const syncTimeout = 5 * time.Second

// syncVolumes writes dirty pages of volumes to the host, so that other guests see them
// and a pause without memory loses none.
func (s *Server) syncVolumes(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	if err := s.machine.SyncVolumes(ctx); err != nil {
		s.log.WarnContext(ctx, "write volumes out before a snapshot", "error", err)
	}
}

// keepStreams is the query parameter of a host that lets the guest run on after the
// snapshot: clients then stay connected.
const keepStreams = "keepStreams"

// forgetEnvironment is the query parameter of a host that creates other sandboxes from the
// snapshot, which must not have this one's variables. The host sets them again.
const forgetEnvironment = "forgetEnvironment"

// endStreams ends the clients' streams and refuses new ones until the next /init.
func (s *Server) endStreams(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, streamsTimeout)
	defer cancel()
	s.processes.Suspend(ctx)
	s.watches.end()
}

// quiet stops or starts background activity. It is idempotent.
func (s *Server) quiet(quiet bool) {
	// While quiet, every connection is closed after its answer: after the restore its
	// other end would not exist.
	s.connections.SetKeepAlivesEnabled(!quiet)
	if quiet {
		s.ports.Stop()
		return
	}
	s.processes.Resume()
	s.ports.Restart()
}

// maxFreezeWait bounds how long /freeze may take.
const maxFreezeWait = 30 * time.Second

// freezeResult is cgroups.FreezeResult with the names of the protocol.
type freezeResult struct {
	Requested    int   `json:"requested"`
	Frozen       int   `json:"frozen"`
	NotFrozen    int   `json:"notFrozen"`
	Failed       int   `json:"failed"`
	Unobservable int   `json:"unobservable"`
	SweepMs      int64 `json:"sweepMs"`
	WaitMs       int64 `json:"waitMs"`
}

// freeze freezes every process of users, so that none runs between prepareSnapshot and the
// stop of the virtual CPUs.
func (s *Server) freeze(w http.ResponseWriter, r *http.Request) {
	var wait time.Duration
	if text := r.URL.Query().Get("maxWaitMs"); text != "" {
		milliseconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil || milliseconds < 0 {
			utils.WriteError(w, http.StatusBadRequest, "maxWaitMs is not a number of milliseconds")
			return
		}
		wait = time.Duration(min(milliseconds, maxFreezeWait.Milliseconds())) * time.Millisecond
	}
	if !s.groupsUsable(w) {
		return
	}
	result, err := s.groups.Freeze(r.Context(), wait)
	if err != nil {
		s.fail(w, "freeze commands", err)
		return
	}
	utils.WriteJSON(w, freezeResult{
		Requested: result.Requested, Frozen: result.Frozen, NotFrozen: result.NotFrozen,
		Failed: result.Failed, Unobservable: result.Unobservable,
		SweepMs: result.Sweep.Milliseconds(), WaitMs: result.Wait.Milliseconds(),
	})
}

// unfreeze reverts freeze after a failed pause.
func (s *Server) unfreeze(w http.ResponseWriter, _ *http.Request) {
	if !s.groupsUsable(w) {
		return
	}
	s.answer(w, "thaw commands", s.groups.Thaw())
}

func (s *Server) groupsUsable(w http.ResponseWriter) bool {
	if s.groups.Usable() {
		return true
	}
	utils.WriteError(w, http.StatusServiceUnavailable, "this guest has no cgroups that can be frozen")
	return false
}

func (s *Server) freezeFilesystem(w http.ResponseWriter, _ *http.Request) {
	s.held.Store(true)
	err := s.machine.FreezeFilesystem()
	if errors.Is(err, host.ErrCannotFreeze) {
		s.held.Store(false)
	}
	s.answer(w, "freeze the file system", err)
}

func (s *Server) thawFilesystem(w http.ResponseWriter, _ *http.Request) {
	s.answer(w, "thaw the file system", s.thawRootFilesystem())
}

// thawRootFilesystem resumes writes.
func (s *Server) thawRootFilesystem() error {
	err := s.machine.ThawFilesystem()
	if err == nil {
		s.held.Store(false)
	}
	return err
}

func (s *Server) collapse(w http.ResponseWriter, _ *http.Request) {
	result, err := s.machine.Collapse()
	if err != nil {
		s.fail(w, "collapse memory", err)
		return
	}
	utils.WriteJSON(w, result)
}

// answer answers 204 or an error.
func (s *Server) answer(w http.ResponseWriter, what string, err error) {
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, host.ErrCannotFreeze):
		utils.WriteError(w, http.StatusServiceUnavailable, err.Error())
	default:
		s.fail(w, what, err)
	}
}

func (s *Server) fail(w http.ResponseWriter, what string, err error) {
	s.log.Error("serve the host", "request", what, "error", err)
	utils.WriteError(w, http.StatusInternalServerError, what+": "+err.Error())
}
