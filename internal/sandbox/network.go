package sandbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/guest"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/request"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/state"
)

// UpdateNetwork puts another policy in force in a running sandbox: the kernel changes
// from one to the other between two packets, and connections that the new one denies end.
// On error the old one stays in force, with the secrets it had.
func (m *Manager) UpdateNetwork(ctx context.Context, id, requestID string, spec egress.Spec, secrets egress.SecretValues) error {
	if _, err := egress.Parse(spec); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	s, err := m.host.findOpen(id)
	if err != nil {
		return err
	}
	_, err = request.Once(ctx, &m.requests, request.Key{Call: "change the network of", SandboxID: id, RequestID: requestID}, func() (struct{}, error) {
		return struct{}{}, s.updateNetwork(ctx, spec, secrets)
	})
	return err
}

func (s *sandbox) updateNetwork(ctx context.Context, spec egress.Spec, secrets egress.SecretValues) error {
	ctx, op, err := s.beginSettled(ctx, ctx, state.Updating, "change its network")
	if err != nil {
		return err
	}
	before, had := op.record.Network, s.secrets.Get()
	s.secrets.Set(secrets)
	if err = op.changeNetwork(ctx, spec); err != nil {
		s.secrets.Set(had)
		err = errors.Join(err, op.restoreNetwork(ctx, before))
	}
	op.publish(state.Running, "")
	if err != nil {
		return fmt.Errorf("change the network of sandbox %s: %w", s.id, err)
	}
	return nil
}

// SetSecrets replaces all secrets that a sandbox holds, in any state: a paused one has
// them when it runs again. They are kept in memory only.
func (m *Manager) SetSecrets(id string, secrets egress.SecretValues) error {
	s, err := m.host.find(id)
	if err != nil {
		return err
	}
	s.secrets.Set(secrets)
	return nil
}

// changeNetwork saves the policy and puts it in force, in this order: after a crash in
// between, the next host agent puts in force what the record says. The guest, which may
// never answer, is told last.
func (o *operation) changeNetwork(ctx context.Context, spec egress.Spec) error {
	o.setNetwork(spec)
	policy, err := o.policy()
	if err != nil {
		return err
	}
	if err := o.save(state.Running, ""); err != nil {
		return err
	}
	if err := o.guest.ApplyPolicy(ctx, policy); err != nil {
		return err
	}
	if err := o.guest.Trust(ctx, o.record.CABundle()); err != nil {
		o.log().WarnContext(ctx, "a guest does not trust the authority of its sandbox's rules yet", "error", err)
	}
	return nil
}

// restoreNetwork puts the policy from before a failed change in force again, also when the
// client that asked for the change has left.
func (o *operation) restoreNetwork(ctx context.Context, before egress.Spec) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), guest.WakeTimeout)
	defer cancel()
	o.setNetwork(before)
	policy, err := o.policy()
	if err == nil {
		err = errors.Join(o.save(state.Running, ""), o.guest.ApplyPolicy(ctx, policy))
	}
	if err != nil {
		return fmt.Errorf("go back to the policy before: %w", err)
	}
	return nil
}

func (o *operation) setNetwork(spec egress.Spec) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.record.Network = spec
}

// policy is the sandbox's network policy. For a policy with rules it makes the sandbox's
// authority, once: snapshots of the guest trust it.
func (o *operation) policy() (*egress.Policy, error) {
	policy, err := egress.Parse(o.record.Network)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if len(o.record.Network.Rules) == 0 {
		return policy, nil
	}
	authority, err := o.record.OpenAuthority()
	if err != nil {
		return nil, err
	}
	if len(o.record.Authority) == 0 {
		made, err := authority.Marshal()
		if err != nil {
			return nil, err
		}
		o.mutex.Lock()
		o.record.Authority = made
		o.mutex.Unlock()
	}
	return policy.WithAuthority(authority).WithSecrets(&o.secrets).WithTokens(o.tokens()), nil
}

// tokens makes identity tokens of the sandbox, each with the key that the host holds then.
func (o *operation) tokens() egress.Tokens {
	id, identity, signer := o.id, o.record.Workload, &o.host.signer
	return func(name string) (string, error) { return signer.Sign(id, identity, name, time.Now()) }
}
