package hostagent

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"

	"git.omukk.dev/wrenn/sandbox/internal/envdclient"
	"git.omukk.dev/wrenn/sandbox/internal/proxy/forward"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox"
)

// guestTraffic gives the sandboxes access to the forwarder's connections to guests.
type guestTraffic struct{ forwarder *forward.Forwarder }

// Drain waits until all connections to a guest agent have ended.
func (t guestTraffic) Drain(ctx context.Context, sandboxID string) {
	t.forwarder.Drain(ctx, sandboxID, envdclient.Port)
}

// Disconnect closes every connection to a guest.
func (t guestTraffic) Disconnect(sandboxID string) { t.forwarder.CloseSandbox(sandboxID) }

// traffic forwards requests of the control plane to guests.
type traffic struct {
	sandboxes *sandbox.Manager
	forwarder *forward.Forwarder
	log       *slog.Logger
}

func (t *traffic) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, port := r.Header.Get(forward.SandboxHeader), r.Header.Get(forward.PortHeader)
	r.Header.Del(forward.SandboxHeader)
	r.Header.Del(forward.PortHeader)
	speaksTLS := r.Header.Get(forward.TLSHeader) != ""
	r.Header.Del(forward.TLSHeader)
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		forward.WriteError(w, r, http.StatusBadRequest, id, 0, "the port is not a number from 1 to 65535")
		return
	}
	reached, err := t.sandboxes.Reach(id)
	if err != nil {
		var conflict *sandbox.ConflictError
		if !errors.As(err, &conflict) && !errors.Is(err, sandbox.ErrNotFound) {
			t.log.ErrorContext(r.Context(), "find a sandbox for traffic", "sandbox", id, "error", err)
		}
		forward.WriteError(w, r, http.StatusBadGateway, id, uint16(number), err.Error())
		return
	}
	header := http.Header{}
	if number == envdclient.Port {
		header.Set(envdclient.SecretHeader, reached.Secret)
	}
	t.forwarder.Forward(w, r, forward.Target{
		SandboxID: id,
		Port:      uint16(number),
		Network:   "tcp",
		Address:   netip.AddrPortFrom(reached.Address, uint16(number)).String(),
		TLS:       speaksTLS,

		Header: header,
	})
}
