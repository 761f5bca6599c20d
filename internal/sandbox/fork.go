package sandbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
)

const (
	// maxForks is how many sandboxes one call makes at most.
	maxForks = 100
	// maxForkParallelism bounds how many are started at once: one for each of the
	// host's CPUs, which a start keeps busy, and one more for when it waits.
	maxForkParallelism = 16
)

// Fork is a sandbox to be made from another.
type Fork struct {
	ID       string
	Identity Identity
}

// ForkResult is what became of one Fork: a sandbox, or the reason there is none.
type ForkResult struct {
	Info Info
	Err  error
}

// Fork makes sandboxes that begin where a running one is, each under its own
// identity, with memory and disk shared until one of them writes. The running
// one runs on. Results are in the order of forks. When ctx ends first, none of
// the forks is left.
func (m *Manager) Fork(ctx context.Context, parentID, requestID string, forks []Fork) ([]ForkResult, error) {
	if len(forks) == 0 || len(forks) > maxForks {
		return nil, fmt.Errorf("%d forks were asked for; from 1 to %d are possible: %w", len(forks), maxForks, ErrInvalid)
	}
	for _, fork := range forks {
		if !id.IsSandbox(fork.ID) {
			return nil, fmt.Errorf("sandbox ID %q: %w", fork.ID, ErrInvalid)
		}
	}
	parent, err := m.findOpen(parentID)
	if err != nil {
		return nil, err
	}
	return joined(ctx, &m.requests, request{"fork", parentID, requestID}, func() ([]ForkResult, error) {
		if made := m.findForks(requestID, forks); made != nil {
			return made, nil
		}
		return m.fork(ctx, parent, requestID, forks)
	})
}

// findForks finds what a request has made that came before; nil if any is
// missing.
func (m *Manager) findForks(requestID string, forks []Fork) []ForkResult {
	found := make([]ForkResult, 0, len(forks))
	for _, fork := range forks {
		s, err := m.find(fork.ID)
		if err != nil || requestID == "" || s.madeBy() != requestID {
			return nil
		}
		found = append(found, ForkResult{Info: s.info()})
	}
	return found
}

func (m *Manager) fork(ctx context.Context, parent *sandbox, requestID string, forks []Fork) (_ []ForkResult, err error) {
	parent.mutex.Lock()
	common := CreateRequest{
		Network: parent.record.Network, Volumes: parent.record.Volumes, RequestID: requestID,
		Identity: Identity{EnvVars: parent.record.Environment}, // a fork goes on where its parent is
		Workload: parent.record.Workload,
	}
	buildID := parent.record.BuildID
	parent.mutex.Unlock()
	common.Secrets = parent.secrets.Get()
	directory := filepath.Join(m.snapshotDir, forkPrefix+rand.Text())
	results := make([]ForkResult, len(forks))
	var starting sync.WaitGroup
	taken, err := m.capture(ctx, parent, captured{SnapshotRequest: SnapshotRequest{BuildID: buildID}}, directory, snapshot.TakeTransient, func(taken *snapshot.Snapshot) {
		// The forks need not wait until their parent runs on.
		starting.Go(func() { m.startForks(ctx, forks, common, taken, results) })
	})
	starting.Wait()
	if taken != nil {
		// Each fork has a name of its own for the memory: the snapshot can go.
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

// overlaid is an environment with other variables laid over it; never nil.
func overlaid(base, over map[string]string) map[string]string {
	environment := make(map[string]string, len(base)+len(over))
	maps.Copy(environment, base)
	maps.Copy(environment, over)
	return environment
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

// killForks ends what was made for somebody who has gone.
func (m *Manager) killForks(ctx context.Context, results []ForkResult) error {
	var failures []error
	for _, result := range results {
		if result.Err == nil && result.Info.ID != "" {
			failures = append(failures, m.Kill(ctx, result.Info.ID, ""))
		}
	}
	return errors.Join(failures...)
}
