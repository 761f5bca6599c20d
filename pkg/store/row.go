package store

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

// one maps the result of a query for one sandbox. missing is the error without a row.
func one(row rows.Sandbox, err, missing error, action string, arguments ...any) (sandbox.Sandbox, error) {
	if errors.Is(err, pgx.ErrNoRows) {
		return sandbox.Sandbox{}, missing
	}
	if err != nil {
		return sandbox.Sandbox{}, fmt.Errorf("%s: %w", fmt.Sprintf(action, arguments...), err)
	}
	return fromRow(row), nil
}

func fromRows(found []rows.Sandbox) []sandbox.Sandbox {
	sandboxes := make([]sandbox.Sandbox, len(found))
	for i, row := range found {
		sandboxes[i] = fromRow(row)
	}
	return sandboxes
}

func fromRow(row rows.Sandbox) sandbox.Sandbox {
	return sandbox.Sandbox{
		ID: row.ID, TeamID: row.TeamID, HostID: row.HostID,
		TemplateID: row.TemplateID, Alias: row.Alias, BuildID: row.BuildID, ForkedFrom: row.ForkedFrom,
		State: row.State, Version: row.Version, Claimant: row.Claimant, StateChangedAt: row.StateChangedAt,
		Reason: row.Reason, EndCause: row.EndCause,
		StartedAt: row.StartedAt, EndAt: row.EndAt, EndedAt: row.EndedAt,
		Lifecycle: sandbox.Lifecycle{
			Timeout: row.Lifetime, AutoPause: row.AutoPause, AutoPauseWithoutMemory: !row.AutoPauseMemory, AutoResume: row.AutoResume,
		},
		WithoutMemory: row.WithoutMemory, GuestUnresponsive: row.GuestUnresponsive,
		VCPUCount: row.VCPUCount, MemoryMiB: row.MemoryMiB, DiskMiB: row.DiskMiB, EnvdVersion: row.EnvdVersion,
		Network: fromNetwork(row.Network, row.AllowInternetAccess), VolumeMounts: fromMounts(row.VolumeMounts),
		Metadata: row.Metadata, IdentityTokens: row.IamTokens, SecretNames: row.SecretNames,
		PlacementGroup: row.PlacementGroup, Isolation: row.Isolation, Secure: row.Secure, TokenEpoch: row.TokenEpoch,
	}
}

func fromNetwork(stored rows.Network, allowInternetAccess *bool) sandbox.Network {
	network := sandbox.Network{
		AllowPublicTraffic: stored.AllowPublicTraffic, AllowInternetAccess: allowInternetAccess,
		AllowOut: stored.AllowOut, DenyOut: stored.DenyOut,
		MaskRequestHost: stored.MaskRequestHost, HTTPSPorts: stored.HTTPSPorts,
	}
	if stored.Rules != nil {
		network.Rules = make(map[string][]sandbox.NetworkRule, len(stored.Rules))
	}
	for domain, rules := range stored.Rules {
		network.Rules[domain] = make([]sandbox.NetworkRule, len(rules))
		for i, rule := range rules {
			network.Rules[domain][i].SetHeaders = rule.Transform.Headers
		}
	}
	if proxy := stored.EgressProxy; proxy != nil {
		network.EgressProxy = &sandbox.EgressProxy{Address: proxy.Address, Username: proxy.Username}
		if proxy.TLS != nil {
			network.EgressProxy.TLS = &sandbox.EgressProxyTLS{Enabled: proxy.TLS.Enabled, ServerName: proxy.TLS.ServerName}
		}
	}
	return network
}

// toNetwork leaves out all values but placeholders.
func toNetwork(network sandbox.Network) rows.Network {
	network = network.WithoutValues()
	stored := rows.Network{
		AllowPublicTraffic: network.AllowPublicTraffic, AllowOut: network.AllowOut, DenyOut: network.DenyOut,
		MaskRequestHost: network.MaskRequestHost, HTTPSPorts: network.HTTPSPorts,
	}
	if network.Rules != nil {
		stored.Rules = make(map[string][]rows.NetworkRule, len(network.Rules))
	}
	for domain, rules := range network.Rules {
		stored.Rules[domain] = make([]rows.NetworkRule, len(rules))
		for i, rule := range rules {
			stored.Rules[domain][i].Transform.Headers = rule.SetHeaders
		}
	}
	if proxy := network.EgressProxy; proxy != nil {
		stored.EgressProxy = &rows.EgressProxy{Address: proxy.Address, Username: proxy.Username}
		if proxy.TLS != nil {
			stored.EgressProxy.TLS = &rows.EgressProxyTLS{Enabled: proxy.TLS.Enabled, ServerName: proxy.TLS.ServerName}
		}
	}
	return stored
}

func fromMounts(stored []rows.VolumeMount) []sandbox.VolumeMount {
	mounts := make([]sandbox.VolumeMount, len(stored))
	for i, mount := range stored {
		mounts[i] = sandbox.VolumeMount(mount)
	}
	return mounts
}

func toMounts(mounts []sandbox.VolumeMount) []rows.VolumeMount {
	stored := make([]rows.VolumeMount, len(mounts))
	for i, mount := range mounts {
		stored[i] = rows.VolumeMount(mount)
	}
	return stored
}

func toMetadata(metadata map[string]string) map[string]string {
	if metadata == nil {
		return map[string]string{}
	}
	return metadata
}
