package sandbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"

	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

const (
	// maxForks is how many sandboxes one call makes at most.
	maxForks = 100
	// minForkParallelism and maxForkParallelism bound how many are started at
	// once: one for each of the host's CPUs, which a start keeps busy.
	minForkParallelism, maxForkParallelism = 2, 16
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
// one runs on. Results are in the order of forks.
func (m *Manager) Fork(ctx context.Context, id string, forks []Fork) (_ []ForkResult, err error) {
	if len(forks) == 0 || len(forks) > maxForks {
		return nil, fmt.Errorf("%d forks were asked for; from 1 to %d are possible: %w", len(forks), maxForks, ErrInvalid)
	}
	parent, err := m.find(id)
	if err != nil {
		return nil, err
	}
	for _, fork := range forks {
		if !idPattern.MatchString(fork.ID) {
			return nil, fmt.Errorf("sandbox ID %q: %w", fork.ID, ErrInvalid)
		}
	}
	parent.mutex.Lock()
	buildID, policy, mounts := parent.record.BuildID, parent.record.Network, parent.record.Volumes
	parent.mutex.Unlock()
	secrets := parent.secrets.Get()
	taken, err := m.capture(ctx, id, buildID, filepath.Join(m.snapshotDir, forkPrefix+rand.Text()), snapshot.TakeTransient)
	if err != nil {
		return nil, err
	}
	// Each fork has a name of its own for the memory: the snapshot can go.
	defer func() { err = errors.Join(err, taken.Remove()) }()
	results := make([]ForkResult, len(forks))
	var group errgroup.Group
	group.SetLimit(min(max(runtime.NumCPU(), minForkParallelism), maxForkParallelism))
	for i, fork := range forks {
		group.Go(func() error {
			request := CreateRequest{ID: fork.ID, Identity: fork.Identity, Network: policy, Secrets: secrets, Volumes: mounts}
			results[i].Info, results[i].Err = m.createFrom(ctx, request, taken)
			return nil
		})
	}
	return results, group.Wait()
}
