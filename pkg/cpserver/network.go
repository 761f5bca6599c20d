package cpserver

import (
	"errors"

	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
)

// checkNetwork finds what is wrong with a network as a host would, before it is
// asked.
func checkNetwork(network host.Network) error {
	spec := egress.Spec{
		DenyInternet: network.DenyInternet, AllowOut: network.AllowOut, DenyOut: network.DenyOut,
		MaskRequestHost: network.MaskRequestHost, Rules: map[string][]egress.Rule{},
	}
	if proxy := network.EgressProxy; proxy != nil {
		spec.Upstream = egress.Upstream{
			Address: proxy.Address, Username: proxy.Username, Password: proxy.Password,
			TLS: proxy.TLS, ServerName: proxy.ServerName, CACert: proxy.CACert,
		}
		if spec.Upstream.Address == "" {
			return fault.New(fault.Invalid, "network.egressProxy.address is missing")
		}
	}
	for _, rule := range network.Rules {
		spec.Rules[rule.Domain] = append(spec.Rules[rule.Domain], egress.Rule{SetHeaders: rule.SetHeaders})
	}
	_, err := egress.Parse(spec)
	var wrong *egress.SpecError
	switch {
	case errors.As(err, &wrong) && wrong.Value != "":
		return fault.New(fault.Invalid, "network.%s: %.100q: %s", wrong.Field, wrong.Value, wrong.Err)
	case errors.As(err, &wrong):
		return fault.New(fault.Invalid, "network.%s: %s", wrong.Field, wrong.Err)
	default:
		return err
	}
}
