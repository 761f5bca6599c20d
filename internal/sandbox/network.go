package sandbox

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/network"
	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
	"git.omukk.dev/wrenn/sandbox/pkg/workload"
)

// acquireSlot takes a network for a guest that is about to start, under the
// sandbox's policy from its first packet on.
func (m *Manager) acquireSlot(ctx context.Context, s *sandbox) (*network.Slot, error) {
	slot, err := m.network.Acquire(ctx, true)
	if err != nil {
		return nil, err
	}
	if err := s.applyPolicy(ctx, slot); err != nil {
		m.network.Release(slot)
		return nil, err
	}
	return slot, nil
}

// applyPolicy puts the sandbox's policy in force in a slot that has the default
// one.
func (s *sandbox) applyPolicy(ctx context.Context, slot *network.Slot) error {
	if reflect.DeepEqual(s.record.Network, egress.Spec{}) {
		return nil
	}
	policy, err := s.policy()
	if err != nil {
		return err
	}
	return slot.Apply(ctx, policy)
}

// UpdateNetwork puts another policy in force in a running sandbox: the kernel
// changes from one to the other between two packets, and what the new one denies
// ends. On error the old one holds, with the secrets it had.
func (m *Manager) UpdateNetwork(ctx context.Context, id, requestID string, spec egress.Spec, secrets egress.SecretValues) error {
	if _, err := egress.Parse(spec); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	s, err := m.findOpen(id)
	if err != nil {
		return err
	}
	_, err = once(ctx, &m.requests, request{"change the network of", id, requestID}, func() (struct{}, error) {
		return struct{}{}, m.updateNetwork(ctx, s, spec, secrets)
	})
	return err
}

func (m *Manager) updateNetwork(ctx context.Context, s *sandbox, spec egress.Spec, secrets egress.SecretValues) error {
	ctx, op, err := m.beginSettled(ctx, ctx, s, Updating, "change its network")
	if err != nil {
		return err
	}
	before, had := s.record.Network, s.secrets.Get()
	s.secrets.Set(secrets)
	if err = m.changeNetwork(ctx, s, spec); err != nil {
		s.secrets.Set(had)
		err = errors.Join(err, m.restoreNetwork(ctx, s, before))
	}
	m.publish(op, Running, "")
	if err != nil {
		return fmt.Errorf("change the network of sandbox %s: %w", s.id, err)
	}
	return nil
}

// SetSecrets puts others in the place of all secrets that a sandbox holds, in
// whatever state it is: one that is paused has them when it runs again. Nothing
// of them is written down.
func (m *Manager) SetSecrets(id string, secrets egress.SecretValues) error {
	s, err := m.find(id)
	if err != nil {
		return err
	}
	s.secrets.Set(secrets)
	return nil
}

// SetSigningKey puts another key in the place of the one that signs identity tokens
// for all sandboxes. Nothing of it is written down.
func (m *Manager) SetSigningKey(key *workload.Key) { m.signer.Set(key) }

// SigningKeyID is the ID of that key; empty for none.
func (m *Manager) SigningKeyID() string { return m.signer.KeyID() }

// trustTimeout is how long a guest may take to hear of an authority: who changes
// its policy waits for that.
const trustTimeout = 10 * time.Second

// changeNetwork writes the policy down and puts it in force, in this order: what
// a crash leaves in force is what the record says, or becomes so. The guest, which
// may be slow to answer or never do, is told last.
func (m *Manager) changeNetwork(ctx context.Context, s *sandbox, spec egress.Spec) error {
	s.setNetwork(spec)
	policy, err := s.policy()
	if err != nil {
		return err
	}
	if err := s.note(Running, ""); err != nil {
		return err
	}
	if err := s.guest.slot.Apply(ctx, policy); err != nil {
		return err
	}
	if err := s.guest.trust(ctx, s.caBundle()); err != nil {
		s.logger(m.log).Warn("a guest does not trust the authority of its sandbox's rules yet", "error", err)
	}
	return nil
}

// trust lets the guest believe the authority that signs for what rules change. One
// that does not answer is told by the tender.
func (g *guest) trust(ctx context.Context, caBundle string) error {
	if caBundle == g.caBundle {
		return nil
	}
	g.caBundle = caBundle
	g.wake = g.goOnAgent
	ctx, cancel := context.WithTimeout(ctx, trustTimeout)
	defer cancel()
	return g.wake(ctx)
}

// restoreNetwork puts the policy in force again that was before a change which
// failed. Whoever asked for the change may be gone.
func (m *Manager) restoreNetwork(ctx context.Context, s *sandbox, before egress.Spec) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), wakeTimeout)
	defer cancel()
	s.setNetwork(before)
	policy, err := s.policy()
	if err == nil {
		err = errors.Join(s.note(Running, ""), s.guest.slot.Apply(ctx, policy))
	}
	if err != nil {
		return fmt.Errorf("go back to the policy before: %w", err)
	}
	return nil
}

func (s *sandbox) setNetwork(spec egress.Spec) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.record.Network = spec
}

// policy is the sandbox's, with an authority of its own where it has rules: made
// once, because snapshots of the guest trust it.
func (s *sandbox) policy() (*egress.Policy, error) {
	policy, err := egress.Parse(s.record.Network)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if len(s.record.Network.Rules) == 0 {
		return policy, nil
	}
	authority, err := s.authority()
	if err != nil {
		return nil, err
	}
	return policy.WithAuthority(authority).WithSecrets(&s.secrets).WithTokens(s.tokens()), nil
}

// tokens makes identity tokens of the sandbox, with the key that is held then.
func (s *sandbox) tokens() egress.Tokens {
	identity := s.record.Workload
	return func(name string) (string, error) { return s.signer.Sign(s.id, identity, name, time.Now()) }
}

// caBundle is what the guest has to trust, in PEM; empty for nothing.
func (s *sandbox) caBundle() string {
	if len(s.record.Authority) == 0 {
		return ""
	}
	authority, err := egress.ParseAuthority(s.record.Authority)
	if err != nil {
		return "" // policy said so already
	}
	return string(authority.Certificate())
}

func (s *sandbox) authority() (*egress.Authority, error) {
	if len(s.record.Authority) > 0 {
		return egress.ParseAuthority(s.record.Authority)
	}
	authority, err := egress.NewAuthority()
	if err != nil {
		return nil, err
	}
	marshalled, err := authority.Marshal()
	if err != nil {
		return nil, err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.record.Authority = marshalled
	return authority, nil
}
