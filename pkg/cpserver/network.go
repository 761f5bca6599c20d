package cpserver

import (
	"errors"

	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

// checkNetwork checks a network policy by the host agent's rules, before a host is
// called.
func checkNetwork(network sandbox.Network) error {
	spec := egress.Spec{
		DenyInternet: network.DeniesInternet(), AllowOut: network.AllowOut, DenyOut: network.DenyOut,
		MaskRequestHost: network.MaskRequestHost, Rules: map[string][]egress.Rule{},
	}
	if proxy := network.EgressProxy; proxy != nil {
		spec.Upstream = egress.Upstream{
			Address: proxy.Address, Username: proxy.Username, Password: proxy.Password,
		}
		if proxy.TLS != nil {
			spec.Upstream.TLS, spec.Upstream.ServerName, spec.Upstream.CACert = proxy.TLS.Enabled, proxy.TLS.ServerName, proxy.TLS.CACert
		}
		if spec.Upstream.Address == "" {
			return fault.New(fault.Invalid, "network.egressProxy.address is missing")
		}
	}
	for domain, rules := range network.Rules {
		spec.Rules[domain] = nil // a name is checked even where no rule follows
		for _, rule := range rules {
			spec.Rules[domain] = append(spec.Rules[domain], egress.Rule{SetHeaders: rule.SetHeaders})
		}
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
