package warm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/envdclient"
	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/guest"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/record"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

// Clone is a guest without a sandbox: restored from a template, run for a moment so that
// its memory holds what every first command needs, and stopped.
type Clone struct {
	Guest     *guest.Guest
	Directory record.Directory

	ended       <-chan struct{} // closed when its VM has ended
	memoryBytes int64           // the host memory that it uses
}

const (
	// warmCommand touches what nearly every sandbox runs first.
	warmCommand = "python3 -c pass"
	// buildCommand is a shell that does nothing.
	buildCommand = ":"
	// warmTimeout bounds how long a clone may take to get ready.
	warmTimeout = time.Minute
)

// makeClone starts a guest, runs the warm command and stops the guest. On error nothing
// is left.
func (p *Pool) makeClone(ctx context.Context, base *snapshot.Snapshot) (_ *Clone, err error) {
	ctx, cancel := context.WithTimeout(ctx, warmTimeout)
	defer cancel()
	name := "warm-" + strings.ToLower(rand.Text())
	c := &Clone{Directory: record.Directory(filepath.Join(p.config.Directory, name))}
	if err := os.MkdirAll(string(c.Directory), 0o700); err != nil {
		return nil, fmt.Errorf("make directory of a clone: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(string(c.Directory)))
		}
	}()
	spec := guest.Spec{ID: name, Directory: c.Directory, VCPUCount: base.VCPUCount, MemoryMiB: base.MemoryMiB, DiskMiB: base.DiskMiB}
	identity := guest.Identity{LifecycleID: rand.Text(), User: base.Defaults.User, Workdir: base.Defaults.Workdir}
	command := warmCommand
	if isBuild(base) {
		// Its agent was told to forget the environment, and waits for another.
		command, identity.Environment = buildCommand, maps.Clone(base.Defaults.Environment)
		if identity.Environment == nil {
			identity.Environment = map[string]string{}
		}
		if spec.Policy, err = egress.Parse(egress.Spec{DenyInternet: true}); err != nil {
			return nil, err
		}
	}
	// This life ends when the clone becomes a sandbox.
	c.Guest, err = p.config.Guests.Start(ctx, spec, base, identity)
	if err != nil {
		return nil, err
	}
	c.ended = c.Guest.Done()
	if err := c.warmUp(ctx, command); err != nil {
		return nil, errors.Join(err, p.config.Guests.Stop(c.Guest))
	}
	return c, nil
}

// isBuild reports whether a snapshot is of a template that somebody has built: it may lack
// every program, and what its start command started runs in it. That must not reach the
// internet before it is known what the sandbox may reach.
func isBuild(base *snapshot.Snapshot) bool { return base.Name == "" }

func (c *Clone) warmUp(ctx context.Context, command string) (err error) {
	if err := c.Guest.Run(ctx, command); err != nil {
		return fmt.Errorf("warm a clone up: %w", err)
	}
	if err := c.Guest.Quiet(ctx, envdclient.Preparation{}); err != nil {
		return fmt.Errorf("quiet a clone: %w", err)
	}
	if err := c.Guest.Stop(ctx); err != nil {
		return err
	}
	c.memoryBytes, err = proportionalMemory(c.Guest.Meter().ProcessID)
	return err
}

// isAlive reports whether the clone's VM still runs.
func (c *Clone) isAlive() bool {
	select {
	case <-c.ended:
		return false
	default:
		return true
	}
}

// End ends a clone and removes it.
func (p *Pool) End(c *Clone) error {
	return errors.Join(p.config.Guests.Stop(c.Guest), os.RemoveAll(string(c.Directory)))
}
