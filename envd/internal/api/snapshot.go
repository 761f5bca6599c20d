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

// farewellTimeout bounds how long a client that does not read is waited for.
const farewellTimeout = 2 * time.Second

// prepareSnapshot quiets envd before the host stops the virtual CPUs: streams
// end, with all that belongs to them, what runs on its own stops, with its
// children, idle connections are closed, the collector runs and free memory goes back, so that the snapshot is small and
// no allocation is caught half-way.
func (s *Server) prepareSnapshot(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get(keepStreams) != "true" {
		s.endStreams(r.Context())
	}
	s.syncVolumes(r.Context())
	s.quiet(true)
	if r.URL.Query().Get(forgetEnvironment) == "true" {
		s.settings.ForgetEnv()
		runtime.GC() // what pools hold is only freed by the second collection
	}
	debug.FreeOSMemory()
	w.WriteHeader(http.StatusNoContent)
}

// syncTimeout bounds how long the host's volumes are waited for.
const syncTimeout = 5 * time.Second

// syncVolumes lets others see what this guest has written before it stands still,
// and loses nothing where its memory is not kept.
func (s *Server) syncVolumes(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	if err := s.machine.SyncVolumes(ctx); err != nil {
		s.log.Warn("write volumes out before a snapshot", "error", err)
	}
}

// keepStreams is asked for by a host that lets this guest run on when it has its
// snapshot: then clients need not come again.
const keepStreams = "keepStreams"

// forgetEnvironment is asked for by a host whose snapshot others will start from:
// what this sandbox was given is not for them. The host gives it again.
const forgetEnvironment = "forgetEnvironment"

// endStreams sends clients away, until the next /init.
func (s *Server) endStreams(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, farewellTimeout)
	defer cancel()
	s.processes.Suspend(ctx)
	s.watches.end()
}

// quiet stops or starts what runs without being asked. Both can come twice.
func (s *Server) quiet(quiet bool) {
	// While quiet, every connection ends with its answer: one kept open would
	// be there after the restore, with nobody at its other end.
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

// freezeResult is cgroups.FreezeResult in the wire's names.
type freezeResult struct {
	Requested    int   `json:"requested"`
	Frozen       int   `json:"frozen"`
	NotFrozen    int   `json:"notFrozen"`
	Failed       int   `json:"failed"`
	Unobservable int   `json:"unobservable"`
	SweepMs      int64 `json:"sweepMs"`
	WaitMs       int64 `json:"waitMs"`
}

// freeze stops every command of the guest's users where it is, so that none
// runs between the quieting of envd and the stop of the virtual CPUs.
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

// unfreeze takes back a freeze whose pause failed.
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
	s.answer(w, "thaw the file system", s.letFilesystemGo())
}

// letFilesystemGo lets writes go on.
func (s *Server) letFilesystemGo() error {
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

// answer is 204, or what went wrong.
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
