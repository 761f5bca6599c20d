package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/vishvananda/netns"

	"git.omukk.dev/wrenn/sandbox/internal/nfs"
)

// ListenForFiles opens the port of the volumes that the guest mounts, inside the slot's
// namespace at GatewayIP, where only the guest reaches it. The firewall accepts its
// packets until the slot is destroyed.
func (s *Slot) ListenForFiles(ctx context.Context) (listener net.Listener, err error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait to serve files: %w", ctx.Err())
	}
	if s.closed {
		return nil, ErrReleased
	}
	err = inNamespace(s.namespaceName(), func() (err error) {
		var config net.ListenConfig
		config.SetMultipathTCP(false)
		listener, err = config.Listen(ctx, "tcp4", net.JoinHostPort(GatewayIP, strconv.Itoa(nfs.Port)))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open the port of volumes: %w", err)
	}
	s.files = true
	if s.policy == nil {
		return listener, nil // the slot was adopted, with its firewall
	}
	namespace, err := netns.GetFromName(s.namespaceName())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open network namespace %s: %w", s.namespaceName(), err), listener.Close())
	}
	defer namespace.Close()
	firewall := guestFirewall{policy: s.policy, hostSide: s.hostSide, resolver: s.resolver, files: true}
	if err := firewall.apply(namespace, false); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}
