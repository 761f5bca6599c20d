package settings

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// known are the settings of Wrenn's programs. Programs of a machine may share an
// environment, and none links all others.
var known = []string{
	// The control plane:
	"WRENN_LISTEN", "WRENN_DOMAIN", "WRENN_MAX_CONNECTIONS_PER_ADDRESS", "WRENN_HOST_AGENT_SOCKET",
	"WRENN_HOST_TRAFFIC_SOCKET", "WRENN_SECRET_KEY_FILE", "WRENN_OLD_SECRET_KEY_FILES", "WRENN_BOOTSTRAP_API_KEY_FILE",
	"WRENN_PAUSE_ON_SHUTDOWN", "WRENN_ALLOW_INSECURE_SANDBOXES", "WRENN_MAX_TIMEOUT", "WRENN_VOLUME_MIB",
	"WRENN_CHANNEL_NETWORKS", "WRENN_EVENT_RETENTION", "WRENN_AUDIT_RETENTION", "WRENN_LOG_LEVEL", "WRENN_LOG_FORMAT",
	"WRENN_SMTP_ADDRESS", "WRENN_SMTP_USERNAME", "WRENN_SMTP_PASSWORD_FILE", "WRENN_SMTP_SECURITY", "WRENN_MAIL_FROM",
	"WRENN_PUBLIC_URL", "WRENN_TRUSTED_PROXIES", "WRENN_ADMIN_TOKEN_FILE", "WRENN_LOCAL_SIGN_IN", "WRENN_GITHUB_CLIENT_ID",
	"WRENN_GITHUB_CLIENT_SECRET_FILE", "WRENN_GITHUB_URL", "WRENN_GITHUB_API_URL", "WRENN_GITHUB_SIGN_UP",
	"WRENN_OIDC_NAME", "WRENN_OIDC_TITLE", "WRENN_OIDC_ISSUER", "WRENN_OIDC_CLIENT_ID", "WRENN_OIDC_CLIENT_SECRET_FILE",
	"WRENN_OIDC_SIGN_UP", "WRENN_TEAM_MAX_SANDBOXES", "WRENN_TEAM_MAX_VCPUS", "WRENN_TEAM_MAX_MEMORY_MIB",
	"WRENN_TEAM_MAX_DISK_MIB",
	"WRENN_TEAM_MAX_SANDBOX_VCPUS", "WRENN_TEAM_MAX_SANDBOX_MEMORY_MIB", "WRENN_TEAM_MAX_SANDBOX_DISK_MIB",
	"WRENN_TEAM_MAX_BUILDS", "WRENN_TEAM_MAX_CREATES_PER_MINUTE", "WRENN_TEAM_MAX_VOLUMES",
	"WRENN_TEAM_MAX_VOLUME_MIB", "WRENN_TEAM_MAX_SECRETS", "WRENN_TEAM_MAX_SNAPSHOTS",
	// The host agent:
	"WRENN_DATA_DIR", "WRENN_CACHE_DIR", "WRENN_ENVD", "WRENN_SOCKET_GID", "WRENN_KEEP_RUNNING", "WRENN_DRIVER",
	"WRENN_WARM_MEMORY_PERCENT", "WRENN_FIRST_USER", "WRENN_EGRESS_PROXY_NETWORKS", "WRENN_CGROUP_ROOT",
	"WRENN_CPU_OVERCOMMIT", "WRENN_MEMORY_OVERCOMMIT", "WRENN_DISK_OVERCOMMIT", "WRENN_MEMORY_RESERVE_MIB",
	"WRENN_DISK_RESERVE_MIB", "WRENN_MEMORY_PRESSURE_PERCENT", "WRENN_SANDBOX_READ_BYTES", "WRENN_SANDBOX_WRITE_BYTES",
	"WRENN_SANDBOX_READ_REQUESTS", "WRENN_SANDBOX_WRITE_REQUESTS", "WRENN_SANDBOX_DISK_WEIGHT",
	"WRENN_SANDBOX_UPLOAD_BYTES", "WRENN_SANDBOX_DOWNLOAD_BYTES", "WRENN_SANDBOX_CONNECTIONS",
	"WRENN_INSECURE_REGISTRIES", "WRENN_PRIVATE_REGISTRIES", "WRENN_REGISTRY_CA_FILE", "WRENN_IMAGE_CACHE_MIB", "WRENN_SIZE_CACHE_MIB", "WRENN_SIZE_UNUSED_HOURS",
	"WRENN_MAX_BUILDS", "WRENN_BUILD_CACHE_MIB", "WRENN_BUILD_UPLOADS_MIB",
	"WRENN_SERVER", "WRENN_HOST_TOKEN",
	// Commands:
	"WRENN_ADMIN_TOKEN",
	// Of wrenn up to itself:
	"WRENN_DETACHED",
}

// Known returns the names of the settings of all of Wrenn's programs that begin with
// WRENN_.
func Known() []string { return slices.Clone(known) }

// mostTypos is how far a variable may be from a setting's name, in letters, to be a
// mistake and not another program's variable.
const mostTypos = 2

// testPrefix begins the variables of the project's own tests, which the programs that
// they start inherit.
const testPrefix = "WRENN_TEST_"

// CheckNames looks for variables that begin with WRENN_ but are no setting: neither of
// Wrenn's programs nor among the extra ones. Those that are a letter or two from one
// are errors: a setting that is misspelt would silently have its default. The others
// may be other programs'; each is a warning. WRENN_TEST_ is kept for the project's own
// tests and passed over.
func CheckNames(variables []string, extra ...string) (warnings []string, err error) {
	var failures []error
	names := append(Known(), extra...)
	for _, variable := range variables {
		name, value, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, "WRENN_") || strings.HasPrefix(name, testPrefix) || value == "" || slices.Contains(names, name) {
			continue
		}
		nearest, distance := nearestOf(name, names)
		if distance <= mostTypos {
			failures = append(failures, fmt.Errorf("%s is not a setting; %s is", name, nearest))
		} else {
			warnings = append(warnings, fmt.Sprintf("%s is not a setting; the nearest is %s", name, nearest))
		}
	}
	slices.Sort(warnings)
	slices.SortFunc(failures, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return warnings, errors.Join(failures...)
}

func nearestOf(name string, known []string) (nearest string, distance int) {
	distance = len(name)
	for _, candidate := range known {
		if d := editDistance(name, candidate); d < distance {
			nearest, distance = candidate, d
		}
	}
	return nearest, distance
}

// editDistance is how many letters must be put in, left out or changed to make one
// text of the other (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			changed := diagonal
			if a[i] != b[j] {
				changed++
			}
			diagonal = row[j+1]
			row[j+1] = min(changed, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}
