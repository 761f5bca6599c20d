package sandbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/admission"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/record"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/request"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/state"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/warm"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
	"git.omukk.dev/wrenn/sandbox/pkg/workload"
)

// VolumeMount is a volume of this host and its absolute path in a guest.
type VolumeMount = record.VolumeMount

// CreateRequest asks for a new sandbox.
type CreateRequest struct {
	ID      string
	BuildID string
	// Size is another than the build's; what is zero is as the build has it.
	Size     admission.Size
	Identity Identity
	// Network is what the guest may reach; zero is the whole internet.
	Network egress.Spec
	// Secrets are what the placeholders in Network stand for.
	Secrets egress.SecretValues
	// Workload is the sandbox's identity in tokens.
	Workload workload.Identity
	Volumes  []VolumeMount
	// RequestID makes a request that is sent again find the sandbox of the first one;
	// empty for a request that is never sent again.
	RequestID string
}

// maxVolumeMounts is how many volumes the guest agent takes.
const maxVolumeMounts = 64

func (r CreateRequest) check() error {
	if !id.IsSandbox(r.ID) {
		return fmt.Errorf("sandbox ID %q: want 8 to 40 lower-case letters and digits: %w", r.ID, ErrInvalid)
	}
	if _, err := egress.Parse(r.Network); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if len(r.Volumes) > maxVolumeMounts {
		return fmt.Errorf("%d volumes are wanted and %d possible: %w", len(r.Volumes), maxVolumeMounts, ErrInvalid)
	}
	return nil
}

// Create restores a template under a new identity. When it fails, or ctx ends first,
// nothing of the sandbox is left.
func (m *Manager) Create(ctx context.Context, wanted CreateRequest) (Info, error) {
	if err := wanted.check(); err != nil {
		return Info{}, err
	}
	if err := m.host.guests.CheckVolumes(wanted.Volumes); err != nil {
		return Info{}, err
	}
	base, release, err := m.sizes.Find(ctx, wanted.BuildID, wanted.Size, func(string) {})
	if err != nil {
		return Info{}, err
	}
	defer release()
	return m.createFrom(ctx, wanted, base)
}

// createFrom is Create from any snapshot. A request whose sandbox was created under an
// earlier host agent finds it.
func (m *Manager) createFrom(ctx context.Context, wanted CreateRequest, base *snapshot.Snapshot) (Info, error) {
	return request.Join(ctx, &m.requests, request.Key{Call: "create", SandboxID: wanted.ID, RequestID: wanted.RequestID}, func() (Info, error) {
		if made, err := m.host.find(wanted.ID); err == nil && wanted.RequestID != "" && made.createdBy() == wanted.RequestID {
			return made.info(), nil
		}
		info, err := m.createNew(ctx, wanted, base)
		m.creates.count(err)
		return info, err
	})
}

func (m *Manager) createNew(ctx context.Context, wanted CreateRequest, base *snapshot.Snapshot) (Info, error) {
	release, err := m.admission.AdmitOrReclaim(admission.SizeOf(base), m.warm.Reclaim)
	if err != nil {
		return Info{}, err
	}
	defer release()
	ctx, op := m.host.newSandbox(ctx, wanted, base)
	if err := m.host.add(op.sandbox); err != nil {
		op.end()
		return Info{}, err
	}
	op.announce()
	if err := op.create(ctx, m.warm, wanted.Identity.LifecycleID); err != nil {
		op.step(state.Killing, err.Error())
		err = errors.Join(fmt.Errorf("create sandbox %s: %w", op.id, err), op.forget())
		op.publish(state.Gone, err.Error())
		return Info{}, err
	}
	op.publish(state.Running, "")
	op.log().InfoContext(ctx, "sandbox created", "build", op.record.BuildID, "took", time.Since(op.record.StartedAt))
	return op.info(), nil
}

// newSandbox makes a sandbox that is being created, and its operation.
func (h *host) newSandbox(ctx context.Context, wanted CreateRequest, base *snapshot.Snapshot) (context.Context, *operation) {
	ctx, cancel := context.WithCancel(ctx)
	s := &sandbox{
		id: wanted.ID, directory: h.sandboxDirectory(wanted.ID), host: h, base: base,
		cancel: cancel, settled: make(chan struct{}), record: record.New(base),
	}
	s.record.Network, s.record.RequestID, s.record.Volumes = wanted.Network, wanted.RequestID, wanted.Volumes
	s.record.Workload = wanted.Workload
	s.record.Environment = overlaid(base.Defaults.Environment, wanted.Identity.EnvVars)
	s.secrets.Set(wanted.Secrets)
	return ctx, &operation{sandbox: s, end: cancel}
}

// overlaid is an environment with other variables laid over it; never nil.
func overlaid(base, over map[string]string) map[string]string {
	environment := make(map[string]string, len(base)+len(over))
	maps.Copy(environment, base)
	maps.Copy(environment, over)
	return environment
}

// create makes the directory, the VM and the record, in this order, or takes the first two
// from a clone that is held ready.
func (o *operation) create(ctx context.Context, pool *warm.Pool, lifecycleID string) error {
	ready, done := pool.Take(o.base)
	defer done()
	if ready != nil {
		err := o.takeClone(ctx, pool, ready, lifecycleID)
		if err == nil || ctx.Err() != nil {
			return err
		}
		o.log().WarnContext(ctx, "a clone that was held ready cannot be used", "error", err)
	}
	if err := os.Mkdir(string(o.directory), 0o700); err != nil {
		return fmt.Errorf("make sandbox directory: %w", err)
	}
	if err := o.journal(); err != nil {
		return err
	}
	return o.run(ctx, lifecycleID, o.record.StartedAt)
}

// takeClone makes a clone the guest of the sandbox. On error nothing is left of either.
func (o *operation) takeClone(ctx context.Context, pool *warm.Pool, ready *warm.Clone, lifecycleID string) (err error) {
	if err := os.Rename(string(ready.Directory), string(o.directory)); err != nil {
		return errors.Join(fmt.Errorf("take over a clone: %w", err), pool.End(ready))
	}
	o.guest = ready.Guest
	defer func() {
		if err != nil {
			err = errors.Join(err, o.stopGuest(), os.RemoveAll(string(o.directory)))
		}
	}()
	if err := o.journal(); err != nil {
		return err
	}
	spec, err := o.guestSpec()
	if err != nil {
		return err
	}
	if err := o.host.guests.Assign(ctx, o.guest, spec, o.guestIdentity(lifecycleID)); err != nil {
		return err
	}
	return o.saveRunning(o.record.StartedAt)
}

// forget deletes what is left of the sandbox.
func (o *operation) forget() error {
	err := os.RemoveAll(string(o.directory))
	o.host.remove(o.sandbox)
	if err != nil {
		return fmt.Errorf("delete sandbox %s: %w", o.id, err)
	}
	return nil
}
