package up

import (
	"cmp"

	"git.omukk.dev/wrenn/sandbox/internal/installation"
	"git.omukk.dev/wrenn/sandbox/internal/postgres"
)

// HostAgentSettings are the settings that wrenn up sets for the host agent, over those
// of its environment. WRENN_SOCKET_GID is added when the system user is known.
func (c *Config) HostAgentSettings() map[string]string {
	return map[string]string{
		"WRENN_DATA_DIR":            c.DataDir,
		"WRENN_CACHE_DIR":           c.CacheDir,
		"WRENN_ENVD":                c.EnvdPath,
		"WRENN_HOST_AGENT_SOCKET":   installation.AgentSocket(c.DataDir),
		"WRENN_HOST_TRAFFIC_SOCKET": installation.TrafficSocket(c.DataDir),
		"WRENN_KEEP_RUNNING":        "false", // sandboxes are paused when wrenn up ends
	}
}

// ControlPlaneSettings are the settings that wrenn up sets for the control plane, over
// those of its environment.
func (c *Config) ControlPlaneSettings() map[string]string {
	layout := Layout{DataDir: c.DataDir}
	return map[string]string{
		"DATABASE_URL":                 cmp.Or(c.DatabaseURL, layout.cluster().URL()),
		"WRENN_LISTEN":                 c.ListenAddress(),
		"WRENN_DOMAIN":                 c.domain(),
		"WRENN_HOST_AGENT_SOCKET":      installation.AgentSocket(c.DataDir),
		"WRENN_HOST_TRAFFIC_SOCKET":    installation.TrafficSocket(c.DataDir),
		"WRENN_SECRET_KEY_FILE":        layout.SecretKey(),
		"WRENN_BOOTSTRAP_API_KEY_FILE": layout.APIKey(),
		"WRENN_ADMIN_TOKEN_FILE":       layout.adminToken(),
		"WRENN_PAUSE_ON_SHUTDOWN":      "true",
		"WRENN_LOCAL_SIGN_IN":          "true",
	}
}

// cluster is the private PostgreSQL of a data directory.
func (l Layout) cluster() postgres.Config {
	return postgres.Config{DataDir: l.postgres(), SocketDir: l.postgresRun(), LogPath: l.log("postgres"), User: SystemUser}
}

// variables returns others and the settings in the form of an environment.
func variables(settings map[string]string, others ...string) []string {
	for name, value := range settings {
		others = append(others, name+"="+value)
	}
	return others
}
