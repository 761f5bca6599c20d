package template

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// tools are the programs that a build needs, and their packages.
var tools = map[string]string{
	"apt-get":    "apt",
	"dpkg-deb":   "dpkg",
	"mmdebstrap": "mmdebstrap",
	"mkfs.ext4":  "e2fsprogs",
	"debugfs":    "e2fsprogs",
}

func checkTools() error {
	if os.Geteuid() != 0 {
		return errors.New("building a guest image needs root")
	}
	var missing []string
	for tool, pkg := range tools {
		if _, err := exec.LookPath(tool); err != nil && !slices.Contains(missing, pkg) {
			missing = append(missing, pkg)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return fmt.Errorf("programs are missing; run: apt-get install %s", strings.Join(missing, " "))
	}
	return nil
}

// run runs a program and returns its output. An error has the last lines of standard error.
func run(ctx context.Context, directory, name string, arguments ...string) (string, error) {
	command := newCommand(ctx, directory, name, arguments...)
	var output, complaints bytes.Buffer
	command.Stdout, command.Stderr = &output, &complaints
	if err := command.Run(); err != nil {
		return "", commandFailure(ctx, name, err, complaints.String())
	}
	return output.String(), nil
}

func newCommand(ctx context.Context, directory, name string, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, name, arguments...)
	command.Dir = directory
	command.Env = []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive",
		"SOURCE_DATE_EPOCH=" + sourceDateEpoch, "E2FSPROGS_FAKE_TIME=" + sourceDateEpoch,
	}
	for _, variable := range []string{"http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"} {
		if value, set := os.LookupEnv(variable); set {
			command.Env = append(command.Env, variable+"="+value)
		}
	}
	return command
}

func commandFailure(ctx context.Context, name string, err error, complaints string) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", name, ctx.Err())
	}
	lines := strings.Split(strings.TrimSpace(complaints), "\n")
	const tailLines = 5
	tail := strings.Join(lines[max(0, len(lines)-tailLines):], "; ")
	return fmt.Errorf("%s: %w: %s", name, err, tail)
}
