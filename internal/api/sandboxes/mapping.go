package sandboxes

import (
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/workload"
)

// clientID is the value of a field that E2B's clients require and do not use.
const clientID = "wrenn"

// listedSandbox is a sandbox in a list.
type listedSandbox struct {
	TemplateID  string            `json:"templateID"`
	Alias       string            `json:"alias,omitempty"`
	SandboxID   string            `json:"sandboxID"`
	ClientID    string            `json:"clientID"`
	StartedAt   time.Time         `json:"startedAt"`
	EndAt       time.Time         `json:"endAt"`
	CPUCount    int32             `json:"cpuCount"`
	MemoryMB    int32             `json:"memoryMB"`
	DiskSizeMB  int32             `json:"diskSizeMB"`
	Metadata    map[string]string `json:"metadata"`
	State       sandbox.State     `json:"state"`
	EnvdVersion string            `json:"envdVersion"`
	// EnvdUnresponsiveAtPause is true for a paused sandbox that can only be resumed
	// without memory. PauseMode is what the pause of a paused sandbox kept.
	EnvdUnresponsiveAtPause bool   `json:"envdUnresponsiveAtPause,omitempty"`
	PauseMode               string `json:"pauseMode,omitempty"`
	// Failure is the reason why a broken sandbox cannot be used.
	Failure string `json:"failure,omitempty"`
	// Isolation is what was demanded when it was created.
	Isolation sandbox.Isolation `json:"isolation,omitempty"`

	VolumeMounts []volumeMount `json:"volumeMounts,omitempty"`
}

// detailedSandbox is the answer to a get.
type detailedSandbox struct {
	listedSandbox
	EnvdAccessToken     string           `json:"envdAccessToken,omitempty"`
	AllowInternetAccess *bool            `json:"allowInternetAccess"`
	Domain              string           `json:"domain"`
	Network             network          `json:"network"`
	Lifecycle           lifecycleSetting `json:"lifecycle"`
}

type lifecycleSetting struct {
	AutoResume bool   `json:"autoResume"`
	OnTimeout  string `json:"onTimeout"`
}

func fromSandbox(of sandbox.Sandbox) listedSandbox {
	answer := listedSandbox{
		TemplateID: of.TemplateID, Alias: of.Alias, SandboxID: of.ID, ClientID: clientID,
		StartedAt: of.StartedAt.UTC(), EndAt: of.EndAt.UTC(),
		CPUCount: of.VCPUCount, MemoryMB: of.MemoryMiB, DiskSizeMB: of.DiskMiB,
		Metadata: of.Metadata, State: shownState(of.State), EnvdVersion: of.EnvdVersion,
		VolumeMounts: fromMounts(of.VolumeMounts), Isolation: of.Isolation,
	}
	switch of.State {
	case sandbox.Broken:
		answer.Failure = of.Reason
	case sandbox.Paused:
		answer.EnvdUnresponsiveAtPause, answer.PauseMode = of.GuestUnresponsive, "full"
		if of.WithoutMemory {
			answer.PauseMode = "filesystem"
		}
	default:
	}
	return answer
}

// shownState returns the state for clients, which know only running and paused: during
// an operation it is the state before, and a broken sandbox is paused.
func shownState(state sandbox.State) sandbox.State {
	switch state {
	case sandbox.Pausing:
		return sandbox.Running
	case sandbox.Resuming, sandbox.Broken:
		return sandbox.Paused
	default:
		return state
	}
}

// network is the policy for a sandbox's traffic.
type network struct {
	AllowPublicTraffic *bool                    `json:"allowPublicTraffic,omitempty"`
	AllowOut           []string                 `json:"allowOut,omitempty"`
	DenyOut            []string                 `json:"denyOut,omitempty"`
	MaskRequestHost    string                   `json:"maskRequestHost,omitempty"`
	HTTPSPorts         []uint16                 `json:"httpsPorts,omitempty"`
	Rules              map[string][]networkRule `json:"rules,omitempty"`
	EgressProxy        *egressProxy             `json:"egressProxy,omitempty"`
}

type networkRule struct {
	Transform networkTransform `json:"transform,omitzero"`
}

type networkTransform struct {
	Headers map[string]string `json:"headers,omitempty"`
}

type egressProxy struct {
	Address  string          `json:"address"`
	Username string          `json:"username,omitempty"`
	Password string          `json:"password,omitempty"`
	TLS      *egressProxyTLS `json:"tls,omitempty"`
}

type egressProxyTLS struct {
	Enabled    bool   `json:"enabled"`
	ServerName string `json:"serverName,omitempty"`
	CACert     string `json:"caCert,omitempty"`
}

func toNetwork(asked network, allowInternetAccess *bool) sandbox.Network {
	wanted := sandbox.Network{
		AllowPublicTraffic: asked.AllowPublicTraffic, AllowInternetAccess: allowInternetAccess,
		AllowOut: asked.AllowOut, DenyOut: asked.DenyOut, MaskRequestHost: asked.MaskRequestHost, HTTPSPorts: asked.HTTPSPorts,
	}
	if asked.Rules != nil {
		wanted.Rules = make(map[string][]sandbox.NetworkRule, len(asked.Rules))
	}
	for domain, rules := range asked.Rules {
		wanted.Rules[domain] = make([]sandbox.NetworkRule, len(rules))
		for i, rule := range rules {
			wanted.Rules[domain][i].SetHeaders = rule.Transform.Headers
		}
	}
	if proxy := asked.EgressProxy; proxy != nil {
		wanted.EgressProxy = &sandbox.EgressProxy{
			Address: proxy.Address, Username: proxy.Username, Password: proxy.Password, TLS: (*sandbox.EgressProxyTLS)(proxy.TLS),
		}
	}
	return wanted
}

func fromNetwork(stored sandbox.Network) network {
	shown := network{
		AllowPublicTraffic: stored.AllowPublicTraffic, AllowOut: stored.AllowOut, DenyOut: stored.DenyOut,
		MaskRequestHost: stored.MaskRequestHost, HTTPSPorts: stored.HTTPSPorts,
	}
	if stored.Rules != nil {
		shown.Rules = make(map[string][]networkRule, len(stored.Rules))
	}
	for domain, rules := range stored.Rules {
		shown.Rules[domain] = make([]networkRule, len(rules))
		for i, rule := range rules {
			shown.Rules[domain][i].Transform.Headers = rule.SetHeaders
		}
	}
	if proxy := stored.EgressProxy; proxy != nil {
		shown.EgressProxy = &egressProxy{
			Address: proxy.Address, Username: proxy.Username, Password: proxy.Password, TLS: (*egressProxyTLS)(proxy.TLS),
		}
	}
	return shown
}

// volumeMount is a volume, by its name, and the path where the sandbox has it.
type volumeMount struct {
	Name string `json:"name"`
	Path string `json:"path"`
}

func toMounts(asked []volumeMount) []sandbox.VolumeMount {
	wanted := make([]sandbox.VolumeMount, len(asked))
	for i, mount := range asked {
		wanted[i] = sandbox.VolumeMount{Name: mount.Name, Path: mount.Path}
	}
	return wanted
}

func fromMounts(stored []sandbox.VolumeMount) []volumeMount {
	shown := make([]volumeMount, len(stored))
	for i, mount := range stored {
		shown[i] = volumeMount{Name: mount.Name, Path: mount.Path}
	}
	return shown
}

// identityToken is a token by which a sandbox says who it is.
type identityToken struct {
	Audience  string `json:"audience"`
	TokenType string `json:"tokenType"`
}

func toTokens(asked map[string]identityToken) workload.Tokens {
	if asked == nil {
		return nil
	}
	wanted := make(workload.Tokens, len(asked))
	for name, token := range asked {
		wanted[name] = workload.Token(token)
	}
	return wanted
}
