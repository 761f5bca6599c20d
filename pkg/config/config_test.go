package config_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/config"
	"git.omukk.dev/wrenn/sandbox/pkg/settings"
)

func complete() map[string]string {
	return map[string]string{
		"DATABASE_URL": "postgres:///wrenn", "WRENN_SECRET_KEY_FILE": "/secret",
		"WRENN_HOST_AGENT_SOCKET": "/rpc.sock", "WRENN_HOST_TRAFFIC_SOCKET": "/traffic.sock",
	}
}

func read(environment map[string]string) (config.Config, error) {
	return config.Read(settings.From("test", environment))
}

func TestRead_FillsInDefaults(t *testing.T) {
	t.Parallel()
	got, err := read(complete())
	require.NoError(t, err)
	require.Equal(t, config.Config{
		Listen: "127.0.0.1:3000", Domain: "localhost:3000", DatabaseURL: "postgres:///wrenn",
		HostAgentSocket: "/rpc.sock", HostTrafficSocket: "/traffic.sock", SecretKeyFile: "/secret",
		MaxConnectionsPerAddress: 512, MaxTimeout: 24 * time.Hour, Log: settings.Log{Level: slog.LevelInfo, Format: "text"},
		Mail: config.Mail{Security: "starttls", From: "Wrenn <wrenn@localhost>"},
		Identity: config.Identity{
			PublicURL: "http://localhost:3000", OIDC: config.OIDC{Name: "oidc"},
			GitHub: config.GitHub{URL: "https://github.com", APIURL: "https://api.github.com"},
		},
		TeamLimits: config.TeamLimits{
			Sandboxes: number(20), VCPUs: number(40), MemoryMiB: number(40960), DiskMiB: number(409600), Builds: number(4),
			CreatesPerMinute: number(120), Volumes: number(20), VolumeMiB: number(102400), Secrets: number(100), Snapshots: number(100),
		},
		VolumeMiB:      number(10240),
		EventRetention: 30 * 24 * time.Hour, AuditRetention: 365 * 24 * time.Hour,
	}, got)
}

func number(value int64) *int64 { return &value }

func TestRead_LiftsALimitOfNewTeams(t *testing.T) {
	t.Parallel()
	environment := complete()
	environment["WRENN_TEAM_MAX_SANDBOXES"], environment["WRENN_VOLUME_MIB"] = "none", "7"
	got, err := read(environment)
	require.NoError(t, err)
	require.Nil(t, got.TeamLimits.Sandboxes)
	require.EqualValues(t, 7, *got.VolumeMiB)
	environment["WRENN_TEAM_MAX_SANDBOXES"] = "-1"
	_, err = read(environment)
	require.ErrorContains(t, err, "WRENN_TEAM_MAX_SANDBOXES")
}

func TestRead_TakesTheDomainsPortFromTheListener(t *testing.T) {
	t.Parallel()
	environment := complete()
	environment["WRENN_LISTEN"] = "[::1]:8443"
	got, err := read(environment)
	require.NoError(t, err)
	require.Equal(t, "localhost:8443", got.Domain)
}

func TestRead_NamesEveryVariableThatIsWrong(t *testing.T) {
	t.Parallel()
	environment := map[string]string{
		"WRENN_LISTEN": "3000", "WRENN_PAUSE_ON_SHUTDOWN": "maybe", "WRENN_MAX_TIMEOUT": "-1h",
		"WRENN_MAX_CONNECTIONS_PER_ADDRESS": "-1",
		"WRENN_LOG_LEVEL":                   "loud", "WRENN_LOG_FORMAT": "xml", "WRENN_SMTP_SECURITY": "maybe",
		"WRENN_CHANNEL_NETWORKS": "10.0.0.1", "WRENN_EVENT_RETENTION": "0s", "WRENN_AUDIT_RETENTION": "forever",
	}
	_, err := read(environment)
	for name := range environment {
		require.ErrorContains(t, err, name+" ")
	}
	for _, name := range []string{"DATABASE_URL", "WRENN_SECRET_KEY_FILE"} {
		require.ErrorContains(t, err, name+" is not set")
	}
}

func TestRead_WantsBothSocketsOfAHostAgentOrNone(t *testing.T) {
	t.Parallel()
	environment := complete()
	delete(environment, "WRENN_HOST_TRAFFIC_SOCKET")
	_, err := read(environment)
	require.EqualError(t, err, "WRENN_HOST_AGENT_SOCKET and WRENN_HOST_TRAFFIC_SOCKET must be set both or not at all")
	delete(environment, "WRENN_HOST_AGENT_SOCKET")
	_, err = read(environment)
	require.NoError(t, err)
}

func TestRead_RefusesAShortAuditRetention(t *testing.T) {
	t.Parallel()
	environment := complete()
	environment["WRENN_AUDIT_RETENTION"] = "24h"
	_, err := read(environment)
	require.ErrorContains(t, err, "WRENN_AUDIT_RETENTION must be at least 720h")
	environment["WRENN_AUDIT_RETENTION"] = "720h"
	_, err = read(environment)
	require.NoError(t, err)
}
