package extension

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"git.omukk.dev/wrenn/sandbox/pkg/cpextension"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
)

var (
	_ sandboxes.Guard = (*Set)(nil)
	_ templates.Guard = (*Set)(nil)
)

// BeforeCreate asks the extensions whether sandboxes may be created.
func (s *Set) BeforeCreate(ctx context.Context, wanted sandboxes.Creation) error {
	return ask(ctx, s, "before create", func(ctx context.Context, guard cpextension.CreateGuard) error {
		own := wanted
		own.Metadata = maps.Clone(wanted.Metadata)
		return guard.BeforeCreate(ctx, own)
	})
}

// BeforeResume asks the extensions whether a paused sandbox may run again.
func (s *Set) BeforeResume(ctx context.Context, wanted sandboxes.Resumption) error {
	return ask(ctx, s, "before resume", func(ctx context.Context, guard cpextension.ResumeGuard) error {
		return guard.BeforeResume(ctx, wanted)
	})
}

// BeforeBuild asks the extensions whether a template may be built.
func (s *Set) BeforeBuild(ctx context.Context, wanted templates.Building) error {
	return ask(ctx, s, "before build", func(ctx context.Context, guard cpextension.BuildGuard) error {
		return guard.BeforeBuild(ctx, wanted)
	})
}

// ask asks one guard after the other. Who cannot answer refuses.
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

// refusal is what the client hears.
func (i *instance) refusal(ctx context.Context, doing string, err error) error {
	var veto *cpextension.VetoError
	if errors.As(err, &veto) && veto == nil {
		err = errors.New("the veto is a nil pointer, which is neither yes nor no")
	} else if veto != nil && vetoes[veto.Reason] != "" {
		return &fault.Error{Code: vetoes[veto.Reason], Message: veto.Message, RetryAfter: veto.RetryAfter}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("ask extension %s: %w", i.name, ctx.Err())
	}
	i.report(ctx, doing, err)
	return fault.New(fault.Unavailable, "the extension %s, which must agree, could not decide", i.name)
}
