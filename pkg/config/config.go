// Package config is the control plane's configuration.
package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/settings"
)

// Config is what the control plane needs to know. The tags are read by package
// settings.
type Config struct {
	// Listen is where the API and the traffic to sandboxes come in.
	Listen string `env:"WRENN_LISTEN" default:"127.0.0.1:3000" help:"address and port for the API and the traffic to sandboxes"`
	// Domain is what sandboxes' host names end in, with a port where it is not the
	// scheme's own.
	Domain string `env:"WRENN_DOMAIN" derived:"localhost and the port of WRENN_LISTEN" help:"what host names of sandboxes end in, with a port where it is not the scheme's own"`
	// MaxConnectionsPerAddress is how many connections one address may have open at
	// a time; zero is any number. This machine and trusted proxies are not counted.
	MaxConnectionsPerAddress int `env:"WRENN_MAX_CONNECTIONS_PER_ADDRESS" default:"512" min:"0" help:"connections that one address may have open at a time, 0 for any number; this machine and trusted proxies are not counted"`
	// DatabaseURL names the PostgreSQL database.
	DatabaseURL string `env:"DATABASE_URL" required:"true" secret:"url" help:"the PostgreSQL database"`
	// HostAgentSocket and HostTrafficSocket are the host agent's on this machine;
	// empty where there is none.
	HostAgentSocket   string `env:"WRENN_HOST_AGENT_SOCKET" help:"socket of this machine's host agent for the control plane; empty where there is none"`
	HostTrafficSocket string `env:"WRENN_HOST_TRAFFIC_SOCKET" help:"socket of this machine's host agent for traffic to sandboxes; empty where there is none"`
	// SecretKeyFile holds the secret keys, the newest first: tokens are derived from
	// them, secrets sealed with them. A change of it takes effect without a restart.
	SecretKeyFile string `env:"WRENN_SECRET_KEY_FILE" required:"true" help:"file with the secret keys, the newest first: tokens are derived from them, secrets sealed with them"`
	// OldSecretKeyFiles hold secret keys from before: values that they have sealed can
	// still be opened.
	OldSecretKeyFiles []string `env:"WRENN_OLD_SECRET_KEY_FILES" help:"files with earlier secret keys, separated by commas, by which sealed values can still be opened"`
	// BootstrapAPIKeyFile holds an API key that the default team gets; may be empty.
	BootstrapAPIKeyFile string `env:"WRENN_BOOTSTRAP_API_KEY_FILE" help:"file with an API key that the default team gets"`
	// PauseOnShutdown pauses all sandboxes of this machine before the control plane
	// ends.
	PauseOnShutdown bool `env:"WRENN_PAUSE_ON_SHUTDOWN" default:"false" help:"whether sandboxes of this machine are paused before the control plane ends"`
	// AllowInsecureSandboxes lets clients create sandboxes with "secure": false.
	AllowInsecureSandboxes bool `env:"WRENN_ALLOW_INSECURE_SANDBOXES" default:"false" help:"whether clients may create sandboxes with \"secure\":false, whose guest agent asks for no token"`
	// MaxTimeout is the longest time to live that a client may ask for.
	MaxTimeout time.Duration `env:"WRENN_MAX_TIMEOUT" default:"24h" help:"longest time to live that a client may ask for"`
	// VolumeMiB is a volume's size whose create names none; nil is no limit.
	VolumeMiB *int64 `env:"WRENN_VOLUME_MIB" default:"10240" min:"0" max:"2147483647" help:"size in MiB of a volume whose create names none, or none for no limit"`
	// TeamLimits are what a new team may have.
	TeamLimits TeamLimits
	// ChannelNetworks are private networks that notifications may be sent into.
	ChannelNetworks []netip.Prefix `env:"WRENN_CHANNEL_NETWORKS" help:"private networks, separated by commas, that notifications may be sent into"`
	// EventRetention and AuditRetention are how long events and the audit log are
	// kept.
	EventRetention time.Duration `env:"WRENN_EVENT_RETENTION" default:"720h" help:"how long events are kept"`
	AuditRetention time.Duration `env:"WRENN_AUDIT_RETENTION" default:"8760h" help:"how long the audit log is kept, at least 720h"`
	// Identity is who may sign in, and how.
	Identity Identity
	// Mail is how mail is sent.
	Mail Mail
	// Log is what is logged, and how.
	Log settings.Log
}

// leastAuditRetention is how long the database itself keeps entries of the audit log.
const leastAuditRetention = 30 * 24 * time.Hour

// Complete computes the domain and the public URL where they are not set. Its error
// is all that does not fit together.
func (c *Config) Complete() error {
	var failures []error
	if (c.HostAgentSocket == "") != (c.HostTrafficSocket == "") {
		failures = append(failures, errors.New("WRENN_HOST_AGENT_SOCKET and WRENN_HOST_TRAFFIC_SOCKET must be set both or not at all"))
	}
	if c.AuditRetention > 0 && c.AuditRetention < leastAuditRetention {
		failures = append(failures, fmt.Errorf("WRENN_AUDIT_RETENTION must be at least %s", leastAuditRetention))
	}
	_, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		failures = append(failures, errors.New("WRENN_LISTEN must be an address and a port, such as 127.0.0.1:3000"))
	}
	if c.Domain == "" {
		c.Domain = net.JoinHostPort("localhost", port)
	}
	if c.Identity.PublicURL == "" {
		c.Identity.PublicURL = "http://" + c.Domain
	}
	return errors.Join(failures...)
}

// Read returns the configuration from sources of settings, the preferred first. The
// error names every setting that is missing or wrong.
func Read(sources ...settings.Source) (Config, error) {
	var config Config
	err := settings.New(&config).Read(sources...)
	return config, err
}
