package guest

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/envdclient"
	"git.omukk.dev/wrenn/sandbox/internal/network"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

const (
	// initTimeout bounds how long a restored guest may take to answer.
	initTimeout = 60 * time.Second
	// WakeTimeout bounds how long a guest's agent may take to answer after a pause that
	// failed.
	WakeTimeout = 20 * time.Second
	// freezeTimeout is how long the host waits for a guest's commands to stop: those
	// that the kernel cannot stop in time are saved where they are.
	freezeTimeout = 500 * time.Millisecond
	// trustTimeout is how long a guest may take to hear of an authority: the client that
	// changes its policy waits for that.
	trustTimeout = 10 * time.Second
	defaultUser  = "user"
)

// become gives a guest that was just started its identity, and its agent the secret of
// this life. earlierSecret is that of the life before, which every guest of the same
// snapshot holds; it is empty for an agent that has just booted.
func (g *Guest) become(ctx context.Context, identity Identity, earlierSecret string) error {
	g.secret, g.told = rand.Text(), identity
	ctx, cancel := context.WithTimeout(ctx, initTimeout)
	defer cancel()
	if err := g.initialise(ctx, earlierSecret); err != nil {
		return fmt.Errorf("give the guest its identity: %w", err)
	}
	return nil
}

// initialise calls /init. A guest whose clock is late after it is told the time with the
// next question: no client waits for that.
func (g *Guest) initialise(ctx context.Context, knownSecret string) error {
	return g.unlessDead(ctx, func(ctx context.Context) error {
		lag, err := g.envd.Init(ctx, knownSecret, envdclient.Init{
			Secret:       g.secret,
			EnvVars:      g.told.Environment,
			LifecycleID:  g.told.LifecycleID,
			DefaultUser:  cmp.Or(g.told.User, defaultUser),
			Workdir:      g.told.Workdir,
			CABundle:     g.told.CABundle,
			VolumeMounts: g.volumeMounts(),
		})
		g.clockIsLate.Store(lag > envdclient.MaxClockLag)
		return err
	})
}

// volumeMounts is what the agent is told of the sandbox's volumes. It is never nil: the
// guest may be a copy of one with other volumes.
func (g *Guest) volumeMounts() []envdclient.VolumeMount {
	mounts := make([]envdclient.VolumeMount, 0, len(g.spec.Volumes))
	for _, mount := range g.spec.Volumes {
		mounts = append(mounts, envdclient.VolumeMount{Target: network.GatewayIP + ":/" + mount.VolumeID, Path: mount.Path})
	}
	return mounts
}

// unlessDead calls the agent, and returns at once if the VM ends meanwhile.
func (g *Guest) unlessDead(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := make(chan struct{})
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		select {
		case <-g.machine.Done():
			cancel(fmt.Errorf("%w: %s", vmm.ErrNotRunning, g.machine.ExitReason()))
		case <-stop:
		}
	}()
	defer func() { close(stop); <-watching }()
	return blameGuest(ctx, call(ctx))
}

// Error is a failure of a guest's agent: the call was not cancelled, and the VM still ran.
type Error struct{ cause error }

// Error says what went wrong.
func (e *Error) Error() string { return e.cause.Error() }

// Unwrap returns what went wrong.
func (e *Error) Unwrap() error { return e.cause }

func blameGuest(ctx context.Context, err error) error {
	if err == nil || errors.Is(err, vmm.ErrNotRunning) || errors.Is(context.Cause(ctx), context.Canceled) {
		return err
	}
	return &Error{cause: err}
}

// Quiet stops the commands of the guest's users and then the agent's own work, its
// clients' streams included unless how keeps them.
func (g *Guest) Quiet(ctx context.Context, how envdclient.Preparation) error {
	g.stopAsking()
	return g.unlessDead(ctx, func(ctx context.Context) error {
		if err := g.envd.Freeze(ctx, g.secret, freezeTimeout); err != nil {
			return err
		}
		return g.envd.PrepareSnapshot(ctx, g.secret, how)
	})
}

// FreezeFilesystem has the guest write out its file system and block what would change
// it.
func (g *Guest) FreezeFilesystem(ctx context.Context) error {
	if err := g.unlessDead(ctx, func(ctx context.Context) error { return g.envd.FreezeFilesystem(ctx, g.secret) }); err != nil {
		return fmt.Errorf("have the guest write out its file system: %w", err)
	}
	return nil
}

// Run runs a line of shell as the default user.
func (g *Guest) Run(ctx context.Context, line string) error { return g.envd.Run(ctx, g.secret, line) }

// A Wake undoes what quieted a guest whose virtual CPUs run again.
type Wake func(ctx context.Context) error

// WakeAfterPause is the Wake of a guest whose clients were sent away. Its agent begins
// another life, which counts whatever the host's clock did meanwhile.
func (g *Guest) WakeAfterPause(ctx context.Context) error {
	// It is not known whether a pause without memory had frozen the file system.
	if err := g.thawFilesystem(ctx); err != nil {
		return err
	}
	return g.wakeAs(ctx, rand.Text())
}

// WakeAfterSnapshot is the Wake of a guest that keeps its clients.
func (g *Guest) WakeAfterSnapshot(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, WakeTimeout)
	defer cancel()
	if err := g.unlessDead(ctx, func(ctx context.Context) error { return g.envd.Unfreeze(ctx, g.secret) }); err != nil {
		return err
	}
	return g.wakeAs(ctx, g.told.LifecycleID)
}

// WakeAfterDiskSnapshot is WakeAfterSnapshot for a guest whose file system was frozen.
func (g *Guest) WakeAfterDiskSnapshot(ctx context.Context) error {
	thaw, cancel := context.WithTimeout(ctx, WakeTimeout)
	defer cancel()
	if err := g.thawFilesystem(thaw); err != nil {
		return err
	}
	return g.WakeAfterSnapshot(ctx)
}

func (g *Guest) thawFilesystem(ctx context.Context) error {
	return g.unlessDead(ctx, func(ctx context.Context) error { return g.envd.ThawFilesystem(ctx, g.secret) })
}

// wakeAs tells the agent which life this is, and with it all that it may have missed.
func (g *Guest) wakeAs(ctx context.Context, lifecycleID string) error {
	g.told.LifecycleID = lifecycleID
	err := g.initialise(ctx, g.secret)
	if err == nil {
		g.pending = nil
	}
	return err
}

// SetPending notes that the agent has to be told what wake tells; a wake that succeeds
// takes the note back.
func (g *Guest) SetPending(wake Wake) { g.pending = wake }

// IsPending reports whether the agent has not answered to something yet.
func (g *Guest) IsPending() bool { return g.pending != nil }

// RetryIsDue reports whether RetryPending is to be called. It may be called by anyone
// while no operation is under way.
func (g *Guest) RetryIsDue() bool { return g.pending != nil && g.retries.IsDue() }

// RetryPending tells the agent again what it did not answer to.
func (g *Guest) RetryPending(ctx context.Context) error {
	err := g.pending(ctx)
	if err != nil {
		g.retries.Failed()
	}
	return err
}

// Trust makes the guest trust the authority that signs for the domains of rules. For a
// guest that does not answer it stays pending.
func (g *Guest) Trust(ctx context.Context, caBundle string) error {
	if caBundle == g.told.CABundle {
		return nil
	}
	g.told.CABundle = caBundle
	g.pending = g.WakeAfterSnapshot
	ctx, cancel := context.WithTimeout(ctx, trustTimeout)
	defer cancel()
	return g.pending(ctx)
}
