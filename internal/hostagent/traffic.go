package hostagent

import (
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"

	"git.omukk.dev/wrenn/sandbox/internal/envdclient"
	"git.omukk.dev/wrenn/sandbox/internal/proxy"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox"
)

// traffic forwards what the control plane sends for a sandbox into its guest.
type traffic struct {
	sandboxes *sandbox.Manager
	forwarder *proxy.Forwarder
	log       *slog.Logger
}

func (t *traffic) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, port := r.Header.Get(proxy.SandboxHeader), r.Header.Get(proxy.PortHeader)
	r.Header.Del(proxy.SandboxHeader)
	r.Header.Del(proxy.PortHeader)
	speaksTLS := r.Header.Get(proxy.TLSHeader) != ""
	r.Header.Del(proxy.TLSHeader)
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		proxy.WriteError(w, r, http.StatusBadRequest, id, 0, "the port is not a number from 1 to 65535")
		return
	}
	reached, err := t.sandboxes.Reach(id)
	if err != nil {
		var conflict *sandbox.ConflictError
		if !errors.As(err, &conflict) && !errors.Is(err, sandbox.ErrNotFound) {
			t.log.Error("find a sandbox for traffic", "sandbox", id, "error", err)
		}
		proxy.WriteError(w, r, http.StatusBadGateway, id, uint16(number), err.Error())
		return
	}
	header := http.Header{}
	if number == proxy.AgentPort {
		header.Set(envdclient.SecretHeader, reached.Secret)
	}
	t.forwarder.Forward(w, r, proxy.Target{
		SandboxID: id,
		Port:      uint16(number),
		Network:   "tcp",
		Address:   netip.AddrPortFrom(reached.Address, uint16(number)).String(),
		TLS:       speaksTLS,

		Header: header,
	})
}
