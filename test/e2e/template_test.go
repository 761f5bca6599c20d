package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/image/imagetest"
)

// buildDirectory makes a directory of files with a Dockerfile.
func buildDirectory(t *testing.T, files map[string]string) string {
	t.Helper()
	directory := t.TempDir()
	for name, content := range files {
		path := filepath.Join(directory, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	}
	return directory
}

// dockerfileOfStages has two stages, files of its directory, a secret, a here-document, a
// build argument and a server that has to run in each sandbox.
const dockerfileOfStages = `FROM e2bdev/base AS tools
RUN --mount=type=secret,id=token test "$(wc -c </run/secrets/token)" = 6 && cat /run/secrets/token && echo made > /tool
FROM e2bdev/base
ARG VERSION=1
ENV GREETING="hello $VERSION" PATH=/opt/bin:$PATH
COPY --from=tools /tool /opt/tool
COPY --chmod=755 bin/ /opt/bin/
COPY <<EOF /etc/greeting
$VERSION
EOF
WORKDIR /srv/site
COPY . .
RUN <<EOF
set -e
echo "version $VERSION in $(pwd)" > built
EOF
HEALTHCHECK CMD curl -fs http://localhost:8000/built
CMD ["python3", "-m", "http.server", "8000"]
`

func TestCLI_BuildsADockerfile(t *testing.T) {
	directory := buildDirectory(t, map[string]string{
		"Dockerfile": dockerfileOfStages, ".dockerignore": "left-out\nDockerfile\n",
		"bin/greet": "#!/bin/sh\necho \"$GREETING\"\n", "index.html": "welcome", "left-out": "x",
	})
	secret := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(secret, []byte("s3cret"), 0o600))
	build := func(arguments ...string) string {
		arguments = append([]string{"template", "build", directory, "--name", "staged", "--secret", "id=token,src=" + secret, "--cpus", "1"}, arguments...)
		stdout, stderr, exitCode := commandLine(t, "", arguments...)
		require.Zero(t, exitCode, stderr)
		require.Regexp(t, `^\S+\n$`, stdout)
		require.NotContains(t, stderr, "s3cret")
		return stderr
	}
	log := build("--build-arg", "VERSION=2")
	require.Contains(t, log, "uploading")

	id := succeed(t, "sandbox", "create", "staged", "--timeout", "3m")
	defer succeed(t, "sandbox", "kill", id)
	inside := func(command string) string { return succeed(t, "sandbox", "exec", id, "--", "sh", "-c", command) }
	require.Equal(t, "version 2 in /srv/site", inside("curl -fs http://localhost:8000/built"))
	require.Equal(t, "welcome", inside("curl -fs http://localhost:8000/index.html"))
	require.Equal(t, "hello 2", inside("greet"))
	require.Equal(t, "made", inside("cat /opt/tool"))
	require.Equal(t, "2", inside("cat /etc/greeting"))
	require.Equal(t, "gone", inside("test -e left-out || echo gone"))
	require.Equal(t, "gone", inside("test -e /run/secrets/token || echo gone"))

	again := build("--build-arg", "VERSION=2")
	require.NotContains(t, again, "uploading")
	for line := range strings.Lines(again) {
		if strings.Contains(line, "[builder ") {
			require.Contains(t, line, "CACHED", again)
		}
	}

	var shown struct{ Builds []struct{ Status string } }
	require.NoError(t, json.Unmarshal([]byte(succeed(t, "template", "show", "staged", "--json")), &shown))
	require.Len(t, shown.Builds, 2)
	_, logged, exitCode := commandLine(t, "", "template", "logs", "staged")
	require.Zero(t, exitCode)
	require.Contains(t, logged, "CACHED")
	succeed(t, "template", "tag", "staged", "stable")
	require.Contains(t, succeed(t, "template", "list"), "staged")
	succeed(t, "template", "delete", "staged")
	require.NotContains(t, succeed(t, "template", "list"), "staged")
}

func TestCLI_SaysWhyADockerfileFails(t *testing.T) {
	cases := map[string]struct{ dockerfile, want string }{
		"a command":        {"FROM e2bdev/base\nRUN true\nRUN echo some output && exit 7\n", "at step 5"},
		"a fault of lines": {"FROM e2bdev/base\nCOPPY a b\n", "Dockerfile: dockerfile: line 2: unknown instruction: COPPY"},
		"a missing file":   {"FROM e2bdev/base\nCOPY nothing /a\n", "no file of the build's directory matches"},
		"a missing secret": {"FROM e2bdev/base\nRUN --mount=type=secret,id=absent,required=true true\n", "line 2: the secret absent is required"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			directory := buildDirectory(t, map[string]string{"Dockerfile": c.dockerfile})
			_, stderr, exitCode := commandLine(t, "", "template", "build", directory, "--name", "faulty", "--cpus", "1")
			require.Equal(t, 1, exitCode, stderr)
			lines := strings.Split(strings.TrimSpace(stderr), "\n")
			require.Contains(t, lines[len(lines)-1], c.want, stderr)
			if name == "a command" {
				require.Contains(t, stderr, "some output")
				require.Contains(t, lines[len(lines)-1], "7")
			}
		})
	}
}

// TestCLI_PullsImagesAsTheyAre makes a sandbox of images that have next to nothing of what
// a Debian has. Nothing is installed into them.
func TestCLI_PullsImagesAsTheyAre(t *testing.T) {
	running(t)
	shared.images.serve(t)
	password := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(password, []byte(registryPassword+"\n"), 0o600))
	cases := map[string]struct {
		image v1.Image
		// command prints want in a sandbox of the image.
		command, want string
	}{
		"musl":       {imagetest.Musl(t), "id -un; . /etc/os-release; echo $ID", "root\nmusl"},
		"static":     {imagetest.Static(t), "id -un; test -e /etc/os-release || echo bare", "root\nbare"},
		"no-passwd":  {imagetest.NoPasswd(t), "id -un; pwd", "root\n/"},
		"taken-user": {imagetest.TakenUser(t), "id -un; su node -c 'id -un'", "root\nnode"},
		"entrypoint": {imagetest.Entrypoint(t), "cat /srv/app/ran", strings.Join([]string{"app", "app", "/srv/app", "hello world", "serve", "two words"}, "\n")},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			reference := shared.images.push(t, name, c.image)
			succeed(t, "template", "pull", reference, "--name", "pulled-"+name, "--user", registryUser, "--password-file", password, "--cpus", "1", "--memory", "512")
			id := succeed(t, "sandbox", "create", "pulled-"+name, "--timeout", "2m")
			defer succeed(t, "sandbox", "kill", id)
			require.Equal(t, c.want, succeed(t, "sandbox", "exec", id, "--", "/bin/bash", "-l", "-c", c.command))
			require.Equal(t, "root", succeed(t, "sandbox", "exec", "--user", "root", id, "--", "/bin/bash", "-c", "id -un"))
		})
	}
}

func TestCLI_PullsAnImageWithSystemd(t *testing.T) {
	running(t)
	shared.images.serve(t)
	password := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(password, []byte(registryPassword+"\n"), 0o600))
	reference := shared.images.push(t, "systemd", imagetest.DebianSystemd(t))
	succeed(t, "template", "pull", reference, "--name", "pulled-systemd", "--init", "systemd", "--ready", "systemctl is-active basic.target", "--user", registryUser, "--password-file", password,
		"--cpus", "1", "--memory", "512")
	id := succeed(t, "sandbox", "create", "pulled-systemd", "--timeout", "2m")
	defer succeed(t, "sandbox", "kill", id)
	require.Equal(t, "systemd", succeed(t, "sandbox", "exec", id, "--", "cat", "/proc/1/comm"))
	require.Equal(t, "active", succeed(t, "sandbox", "exec", id, "--", "systemctl", "is-active", "basic.target"))
}
