package extension

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"git.omukk.dev/wrenn/sandbox/pkg/cpextension"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
)

var (
	_ sandboxes.Guard = (*Set)(nil)
	_ templates.Guard = (*Set)(nil)
)

// BeforeCreate asks the guards of new sandboxes.
func (s *Set) BeforeCreate(ctx context.Context, wanted sandboxes.Creation) error {
	return ask(ctx, s, "before create", func(ctx context.Context, guard cpextension.CreateGuard) error {
		own := wanted
		own.Metadata = maps.Clone(wanted.Metadata)
		return guard.BeforeCreate(ctx, own)
	})
}

// BeforeFork asks the guards of forks.
func (s *Set) BeforeFork(ctx context.Context, wanted sandboxes.Forking) error {
	return ask(ctx, s, "before fork", func(ctx context.Context, guard cpextension.ForkGuard) error {
		own := wanted
		own.Parent = copyOf(wanted.Parent)
		return guard.BeforeFork(ctx, own)
	})
}

// BeforeResume asks the guards of resumes.
func (s *Set) BeforeResume(ctx context.Context, wanted sandboxes.Resumption) error {
	return ask(ctx, s, "before resume", func(ctx context.Context, guard cpextension.ResumeGuard) error {
		own := wanted
		own.Sandbox = copyOf(wanted.Sandbox)
		return guard.BeforeResume(ctx, own)
	})
}

// BeforePause asks the guards of pauses.
func (s *Set) BeforePause(ctx context.Context, wanted sandboxes.Pausing) error {
	return ask(ctx, s, "before pause", func(ctx context.Context, guard cpextension.PauseGuard) error {
		own := wanted
		own.Sandbox = copyOf(wanted.Sandbox)
		return guard.BeforePause(ctx, own)
	})
}

// BeforeKill asks the guards of kills.
func (s *Set) BeforeKill(ctx context.Context, wanted sandboxes.Killing) error {
	return ask(ctx, s, "before kill", func(ctx context.Context, guard cpextension.KillGuard) error {
		return guard.BeforeKill(ctx, sandboxes.Killing{Sandbox: copyOf(wanted.Sandbox)})
	})
}

// BeforeSnapshot asks the guards of snapshots.
func (s *Set) BeforeSnapshot(ctx context.Context, wanted sandboxes.Snapshotting) error {
	return ask(ctx, s, "before snapshot", func(ctx context.Context, guard cpextension.SnapshotGuard) error {
		own := wanted
		own.Sandbox = copyOf(wanted.Sandbox)
		return guard.BeforeSnapshot(ctx, own)
	})
}

// BeforeNetworkUpdate asks the guards of network policies.
func (s *Set) BeforeNetworkUpdate(ctx context.Context, wanted sandboxes.NetworkUpdate) error {
	return ask(ctx, s, "before network update", func(ctx context.Context, guard cpextension.NetworkGuard) error {
		return guard.BeforeNetworkUpdate(ctx, sandboxes.NetworkUpdate{Sandbox: copyOf(wanted.Sandbox), Network: copyOfNetwork(wanted.Network)})
	})
}

// BeforeSecretUse asks the guards of secrets.
func (s *Set) BeforeSecretUse(ctx context.Context, wanted sandboxes.SecretUse) error {
	return ask(ctx, s, "before secret use", func(ctx context.Context, guard cpextension.SecretGuard) error {
		own := wanted
		own.Names, own.Network = slices.Clone(wanted.Names), copyOfNetwork(wanted.Network)
		return guard.BeforeSecretUse(ctx, own)
	})
}

// BeforeBuild asks the guards of template builds.
func (s *Set) BeforeBuild(ctx context.Context, wanted templates.Building) error {
	return ask(ctx, s, "before build", func(ctx context.Context, guard cpextension.BuildGuard) error {
		return guard.BeforeBuild(ctx, wanted)
	})
}

// copyOf copies a sandbox, so that an extension cannot change the server's.
func copyOf(of sandbox.Sandbox) sandbox.Sandbox {
	of.Metadata, of.IdentityTokens = maps.Clone(of.Metadata), maps.Clone(of.IdentityTokens)
	of.VolumeMounts, of.SecretNames = slices.Clone(of.VolumeMounts), slices.Clone(of.SecretNames)
	of.Network = copyOfNetwork(of.Network)
	return of
}

func copyOfNetwork(of sandbox.Network) sandbox.Network {
	of = of.WithoutValues() // has maps of its own
	of.AllowOut, of.DenyOut, of.HTTPSPorts = slices.Clone(of.AllowOut), slices.Clone(of.DenyOut), slices.Clone(of.HTTPSPorts)
	return of
}

// ask asks the guards one after the other. A guard that cannot answer refuses.
func ask[Guard any](ctx context.Context, s *Set, doing string, question func(context.Context, Guard) error) error {
	for _, i := range s.instances {
		guard, asks := i.extension.(Guard)
		if !asks {
			continue
		}
		if !i.is(Running) {
			return fault.New(fault.Unavailable, "the extension %s, which must agree, is not running", i.name)
		}
		err := i.within(ctx, cpextension.GuardTimeout, func(ctx context.Context) error { return question(ctx, guard) })
		if err != nil {
			return i.refusal(ctx, doing, err)
		}
	}
	return nil
}

var vetoes = map[cpextension.Reason]fault.Code{
	cpextension.Forbidden: fault.Forbidden, cpextension.PaymentRequired: fault.PaymentRequired, cpextension.TooMany: fault.RateLimited,
}

// refusal turns a guard's error into the fault that the client gets.
func (i *instance) refusal(ctx context.Context, doing string, err error) error {
	var veto *cpextension.VetoError
	if errors.As(err, &veto) && veto == nil {
		err = errors.New("the veto is a nil *VetoError")
	} else if veto != nil && vetoes[veto.Reason] != "" {
		return &fault.Error{Code: vetoes[veto.Reason], Message: veto.Message, RetryAfter: veto.RetryAfter}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("ask extension %s: %w", i.name, ctx.Err())
	}
	i.report(ctx, doing, err)
	return fault.New(fault.Unavailable, "the extension %s, which must agree, could not decide", i.name)
}
