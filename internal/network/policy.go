package network

import (
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netns"

	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
)

// ErrReleased is returned for a slot that was released.
var ErrReleased = errors.New("network slot was released")

// Apply puts a policy in force, on a running guest too: the kernel changes from
// the old one to the new one between two packets, and connections that the new one
// denies end. On error the old policy is in force; if an earlier process applied that,
// then its rules in the kernel are. Calls are made one at a time.
func (s *Slot) Apply(ctx context.Context, policy *egress.Policy) error {
	if err := policy.Complete(); err != nil {
		return err
	}
	if policy.Tunnels() {
		if err := policy.Upstream().MayBe(s.upstreamNetworks); err != nil {
			return err
		}
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return fmt.Errorf("wait to change a network policy: %w", ctx.Err())
	}
	if s.closed {
		return ErrReleased
	}
	namespace, err := netns.GetFromName(s.namespaceName())
	if err != nil {
		return fmt.Errorf("open network namespace %s: %w", s.namespaceName(), err)
	}
	defer namespace.Close()
	previous := s.policy
	if err := s.enforce(namespace, policy); err != nil {
		return errors.Join(err, s.revert(namespace, previous))
	}
	// The firewall drops denied packets in any case.
	if err := forgetDenied(namespace, policy); err != nil {
		s.log.ErrorContext(ctx, "a network policy is in force, but the kernel remembers connections that it denies", "error", err)
	}
	return nil
}

// revert puts the previous policy in force again after one that failed.
func (s *Slot) revert(namespace netns.NsHandle, previous *egress.Policy) error {
	if previous == nil { // no gateway of this process's was part of it
		s.closeGateway()
		return nil
	}
	return s.enforce(namespace, previous)
}

// enforce applies a policy to gateway, queues and firewall. The firewall comes after the
// gateway, to which it sends connections. In between, never more is reachable than the
// old and the new policy together allow.
func (s *Slot) enforce(namespace netns.NsHandle, policy *egress.Policy) error {
	policy = policy.Within(s.limits)
	if err := s.prepareGateway(policy); err != nil {
		return err
	}
	if err := limitBandwidth(namespace, policy.Limits()); err != nil {
		return err
	}
	recount := s.policy == nil || s.policy.Limits().Connections != policy.Limits().Connections
	firewall := guestFirewall{policy: policy, hostSide: s.hostSide, resolver: s.resolver, files: s.files}
	if err := firewall.apply(namespace, recount); err != nil {
		return err
	}
	s.policy = policy
	if !policy.NeedsGateway() {
		s.closeGateway()
	}
	return nil
}

// prepareGateway starts a gateway for the policy, or changes the one that runs, before
// the firewall sends connections to it.
func (s *Slot) prepareGateway(policy *egress.Policy) (err error) {
	switch {
	case s.gateway != nil:
		s.gateway.Update(policy)
	case policy.NeedsGateway():
		s.gateway, err = s.startGateway(policy)
	}
	return err
}

func (s *Slot) closeGateway() {
	if s.gateway != nil {
		s.gateway.Close()
		s.gateway = nil
	}
}

// close ends the gateway and all other work of this process for the slot. The slot's
// parts in the kernel stay.
func (s *Slot) close() {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	s.closed = true
	s.closeGateway()
}
