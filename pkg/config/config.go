// Package config reads the control plane's configuration from the environment.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"
)

// Config is what the control plane needs to know.
type Config struct {
	// Listen is where the API and the traffic to sandboxes come in.
	Listen string
	// DatabaseURL names the PostgreSQL database.
	DatabaseURL string
	// Domain is what sandboxes' host names end in, with a port where it is not the
	// scheme's own.
	Domain string
	// HostAgentSocket and HostTrafficSocket are the local host agent's.
	HostAgentSocket   string
	HostTrafficSocket string
	// SecretKeyFile holds the key that sandboxes' tokens are derived from.
	SecretKeyFile string
	// BootstrapAPIKeyFile holds an API key that the default team gets; may be empty.
	BootstrapAPIKeyFile string
	// PauseOnShutdown pauses all sandboxes before the control plane ends.
	PauseOnShutdown bool
	// MaxTimeout is the longest time to live that a client may ask for.
	MaxTimeout time.Duration
	LogLevel   slog.Level
	// LogFormat is "text" or "json".
	LogFormat string
}

const (
	defaultListen     = "127.0.0.1:3000"
	defaultMaxTimeout = 24 * time.Hour
)

// FromEnvironment reads the configuration through getenv, which is os.Getenv but
// in tests. The error names every variable that is missing or wrong.
func FromEnvironment(getenv func(string) string) (Config, error) {
	r := reader{getenv: getenv}
	config := Config{
		Listen:              r.text("WRENN_LISTEN", defaultListen),
		DatabaseURL:         r.required("DATABASE_URL"),
		HostAgentSocket:     r.required("WRENN_HOST_AGENT_SOCKET"),
		HostTrafficSocket:   r.required("WRENN_HOST_TRAFFIC_SOCKET"),
		SecretKeyFile:       r.required("WRENN_SECRET_KEY_FILE"),
		BootstrapAPIKeyFile: r.text("WRENN_BOOTSTRAP_API_KEY_FILE", ""),
		PauseOnShutdown:     r.boolean("WRENN_PAUSE_ON_SHUTDOWN"),
		MaxTimeout:          r.duration("WRENN_MAX_TIMEOUT", defaultMaxTimeout),
		LogLevel:            r.level("WRENN_LOG_LEVEL"),
		LogFormat:           r.choice("WRENN_LOG_FORMAT", "text", "json"),
	}
	_, port, err := net.SplitHostPort(config.Listen)
	if err != nil {
		r.fail("WRENN_LISTEN", "must be an address and a port, such as %s", defaultListen)
	}
	config.Domain = r.text("WRENN_DOMAIN", "localhost:"+port)
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
