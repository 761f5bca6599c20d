package sandbox

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"git.omukk.dev/wrenn/sandbox/internal/sandbox/request"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
)

const (
	// maxForks is how many sandboxes one call makes at most.
	maxForks = 100
	// maxForkParallelism bounds how many are started at once: one for each of the host's
	// CPUs, which a start keeps busy, and one more for when it waits.
	maxForkParallelism = 16
)

// Fork is a sandbox to be made from another.
type Fork struct {
	ID       string
	Identity Identity
}

// ForkResult is the result of one Fork: a sandbox, or an error.
type ForkResult struct {
	Info Info
	Err  error
}

// Fork makes sandboxes that begin where a running one is, each under its own identity,
// with memory and disk shared until one of them writes. The running one runs on. Results
// are in the order of forks. When ctx ends first, none of the forks is left.
func (m *Manager) Fork(ctx context.Context, parentID, requestID string, forks []Fork) ([]ForkResult, error) {
	if len(forks) == 0 || len(forks) > maxForks {
		return nil, fmt.Errorf("%d forks were asked for; from 1 to %d are possible: %w", len(forks), maxForks, ErrInvalid)
	}
	for _, fork := range forks {
		if !id.IsSandbox(fork.ID) {
			return nil, fmt.Errorf("sandbox ID %q: %w", fork.ID, ErrInvalid)
		}
	}
	parent, err := m.host.findOpen(parentID)
	if err != nil {
		return nil, err
	}
	return request.Join(ctx, &m.requests, request.Key{Call: "fork", SandboxID: parentID, RequestID: requestID}, func() ([]ForkResult, error) {
		if made := m.host.findForks(requestID, forks); made != nil {
			return made, nil
		}
		return m.fork(ctx, parent, requestID, forks)
	})
}

// findForks finds the sandboxes that an earlier call of the request has made; nil if any
// is missing.
func (h *host) findForks(requestID string, forks []Fork) []ForkResult {
	made := make([]ForkResult, 0, len(forks))
	for _, fork := range forks {
		s, err := h.find(fork.ID)
		if err != nil || requestID == "" || s.createdBy() != requestID {
			return nil
		}
		made = append(made, ForkResult{Info: s.info()})
	}
	return made
}

func (m *Manager) fork(ctx context.Context, parent *sandbox, requestID string, forks []Fork) (_ []ForkResult, err error) {
	common, buildID := parent.forkRequest(requestID)
	results := make([]ForkResult, len(forks))
	var starting sync.WaitGroup
	taken, err := parent.capture(ctx, capture{
		SnapshotRequest: SnapshotRequest{BuildID: buildID}, directory: m.catalog.TransientPath(),
		use: func(taken *snapshot.Snapshot) {
			// The forks need not wait until their parent runs on.
			starting.Go(func() { m.startForks(ctx, forks, common, taken, results) })
		},
	})
	starting.Wait()
	if taken != nil {
		// Each fork has its own name for the memory file: the snapshot can be removed.
		defer func() { err = errors.Join(err, taken.Remove()) }()
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("fork sandbox %s: %w", parent.id, err), m.killForks(ctx, results))
	}
	return results, nil
}

// forkRequest is what all forks of a sandbox have in common, and the build that it
// descends from.
func (s *sandbox) forkRequest(requestID string) (common CreateRequest, buildID string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return CreateRequest{
		Network: s.record.Network, Volumes: s.record.Volumes, RequestID: requestID,
		Identity: Identity{EnvVars: s.record.Environment}, // processes in the fork have it already
		Workload: s.record.Workload, Secrets: s.secrets.Get(),
	}, s.record.BuildID
}

// startForks makes sandboxes of a snapshot, a few at a time.
func (m *Manager) startForks(ctx context.Context, forks []Fork, common CreateRequest, taken *snapshot.Snapshot, results []ForkResult) {
	var group errgroup.Group
	group.SetLimit(min(runtime.NumCPU()+1, maxForkParallelism))
	for i, fork := range forks {
		group.Go(func() error {
			wanted := common
			wanted.ID, wanted.Identity = fork.ID, fork.Identity
			wanted.Identity.EnvVars = overlaid(common.Identity.EnvVars, fork.Identity.EnvVars)
			results[i].Info, results[i].Err = m.createFrom(ctx, wanted, taken)
			return nil
		})
	}
	_ = group.Wait() // each result has its own error
}

// killForks ends the forks of a call that failed or whose client has left.
func (m *Manager) killForks(ctx context.Context, results []ForkResult) error {
	var failures []error
	for _, result := range results {
		if result.Err == nil && result.Info.ID != "" {
			failures = append(failures, m.Kill(ctx, result.Info.ID, ""))
		}
	}
	return errors.Join(failures...)
}
