// Package config reads the control plane's configuration from the environment.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Config is what the control plane needs to know.
type Config struct {
	// Listen is where the API and the traffic to sandboxes come in.
	Listen string
	// DatabaseURL names the PostgreSQL database.
	DatabaseURL string
	// MaxConnectionsPerAddress is how many connections one address may have open at
	// a time; zero is any number. This machine and trusted proxies are not counted.
	MaxConnectionsPerAddress int
	// Domain is what sandboxes' host names end in, with a port where it is not the
	// scheme's own.
	Domain string
	// HostAgentSocket and HostTrafficSocket are the host agent's on this machine;
	// empty where there is none.
	HostAgentSocket   string
	HostTrafficSocket string
	// SecretKeyFile holds the secret keys, the newest first: what tokens are derived
	// from and secrets sealed with. A change of it is noticed without a restart.
	SecretKeyFile string
	// BootstrapAPIKeyFile holds an API key that the default team gets; may be empty.
	BootstrapAPIKeyFile string
	// PauseOnShutdown pauses all sandboxes before the control plane ends.
	PauseOnShutdown bool
	// AllowInsecureSandboxes lets clients create sandboxes with "secure": false.
	AllowInsecureSandboxes bool
	// MaxTimeout is the longest time to live that a client may ask for.
	MaxTimeout time.Duration
	LogLevel   slog.Level
	// LogFormat is "text" or "json".
	LogFormat string
	// Mail is how mail is sent.
	Mail Mail
	// Identity is who may sign in, and how.
	Identity Identity
	// OldSecretKeyFiles hold more secret keys from before: what they have sealed can
	// still be opened.
	OldSecretKeyFiles []string
	// TeamLimits are what a new team may have.
	TeamLimits TeamLimits
	// VolumeMiB is how much a volume holds whose maker named no size; nil is no limit.
	VolumeMiB *int64
	// ChannelNetworks are private networks that notifications may be sent into.
	ChannelNetworks []netip.Prefix
	// EventRetention and AuditRetention are how long events and the audit log are
	// kept.
	EventRetention time.Duration
	AuditRetention time.Duration
}

const (
	defaultListen     = "127.0.0.1:3000"
	defaultMaxTimeout = 24 * time.Hour
	// defaultConnections is enough for an office behind one address, and few enough
	// that one cannot use up what the server may open.
	defaultConnections = 512
	day                = 24 * time.Hour
	// defaultEventRetention lets a client that was away for a month go on where it
	// was, and defaultAuditRetention an auditor look a year back.
	defaultEventRetention = 30 * day
	defaultAuditRetention = 365 * day
	// leastAuditRetention is what the database keeps anyway.
	leastAuditRetention = 30 * day
)

// FromEnvironment reads the configuration through getenv, which is os.Getenv but
// in tests. The error names every variable that is missing or wrong.
func FromEnvironment(getenv func(string) string) (Config, error) {
	r := reader{getenv: getenv}
	config := Config{
		Listen:                 r.text("WRENN_LISTEN", defaultListen),
		DatabaseURL:            r.required("DATABASE_URL"),
		HostAgentSocket:        r.text("WRENN_HOST_AGENT_SOCKET", ""),
		HostTrafficSocket:      r.text("WRENN_HOST_TRAFFIC_SOCKET", ""),
		SecretKeyFile:          r.required("WRENN_SECRET_KEY_FILE"),
		BootstrapAPIKeyFile:    r.text("WRENN_BOOTSTRAP_API_KEY_FILE", ""),
		PauseOnShutdown:        r.boolean("WRENN_PAUSE_ON_SHUTDOWN"),
		AllowInsecureSandboxes: r.boolean("WRENN_ALLOW_INSECURE_SANDBOXES"),
		MaxTimeout:             r.duration("WRENN_MAX_TIMEOUT", defaultMaxTimeout),
		LogLevel:               r.level("WRENN_LOG_LEVEL"),
		LogFormat:              r.choice("WRENN_LOG_FORMAT", "text", "json"),
		Mail:                   r.mail(),
		Identity:               r.identity(),
		OldSecretKeyFiles:      r.list("WRENN_OLD_SECRET_KEY_FILES"),
		TeamLimits:             r.teamLimits(),
		VolumeMiB:              r.limit("WRENN_VOLUME_MIB", defaultVolumeMiB),
		ChannelNetworks:        r.networks("WRENN_CHANNEL_NETWORKS"),
		EventRetention:         r.duration("WRENN_EVENT_RETENTION", defaultEventRetention),
		AuditRetention:         r.duration("WRENN_AUDIT_RETENTION", defaultAuditRetention),
	}
	if config.HostAgentSocket != "" || config.HostTrafficSocket != "" {
		r.required("WRENN_HOST_AGENT_SOCKET")
		r.required("WRENN_HOST_TRAFFIC_SOCKET")
	}
	if config.AuditRetention > 0 && config.AuditRetention < leastAuditRetention {
		r.fail("WRENN_AUDIT_RETENTION", "must be at least %s", leastAuditRetention)
	}
	_, port, err := net.SplitHostPort(config.Listen)
	if err != nil {
		r.fail("WRENN_LISTEN", "must be an address and a port, such as %s", defaultListen)
	}
	config.MaxConnectionsPerAddress = r.count("WRENN_MAX_CONNECTIONS_PER_ADDRESS", defaultConnections)
	config.Domain = r.text("WRENN_DOMAIN", "localhost:"+port)
	if config.Identity.PublicURL == "" {
		config.Identity.PublicURL = "http://" + config.Domain
	}
	return config, errors.Join(r.failures...)
}

// reader collects what is wrong with the environment.
type reader struct {
	getenv   func(string) string
	failures []error
}

func (r *reader) fail(name, format string, args ...any) {
	r.failures = append(r.failures, fmt.Errorf("%s "+format, append([]any{name}, args...)...))
}

func (r *reader) text(name, byDefault string) string {
	if value := r.getenv(name); value != "" {
		return value
	}
	return byDefault
}

func (r *reader) required(name string) string {
	value := r.getenv(name)
	if value == "" {
		r.fail(name, "is not set")
	}
	return value
}

func (r *reader) boolean(name string) bool {
	value, err := strconv.ParseBool(r.text(name, "false"))
	if err != nil {
		r.fail(name, "must be true or false")
	}
	return value
}

func (r *reader) count(name string, byDefault int) int {
	value, err := strconv.Atoi(r.text(name, strconv.Itoa(byDefault)))
	if err != nil || value < 0 {
		r.fail(name, "must be a whole number, or 0 for no bound")
	}
	return value
}

func (r *reader) duration(name string, byDefault time.Duration) time.Duration {
	value, err := time.ParseDuration(r.text(name, byDefault.String()))
	if err != nil || value <= 0 {
		r.fail(name, "must be a positive duration, such as 24h")
	}
	return value
}

func (r *reader) level(name string) slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(r.text(name, "info"))); err != nil {
		r.fail(name, "must be debug, info, warn or error")
	}
	return level
}

// list takes values separated by commas.
func (r *reader) list(name string) []string {
	var values []string
	for value := range strings.SplitSeq(r.getenv(name), ",") {
		if value = strings.TrimSpace(value); value != "" {
			values = append(values, value)
		}
	}
	return values
}

func (r *reader) networks(name string) []netip.Prefix {
	var networks []netip.Prefix
	for _, value := range r.list(name) {
		network, err := netip.ParsePrefix(value)
		if err != nil {
			r.fail(name, "must be networks such as 10.1.0.0/16, separated by commas")
			continue
		}
		networks = append(networks, network.Masked())
	}
	return networks
}

// choice takes the first of the values where the variable is not set.
func (r *reader) choice(name string, values ...string) string {
	value := r.text(name, values[0])
	for _, known := range values {
		if value == known {
			return value
		}
	}
	r.fail(name, "must be one of %q", values)
	return value
}
