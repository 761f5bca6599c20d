package template

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseRelease_KnowsDebianAndUbuntuOnly(t *testing.T) {
	debian, err := parseRelease([]byte("PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_CODENAME=bookworm\n"))
	require.NoError(t, err)
	require.Equal(t, release{id: "debian", codename: "bookworm"}, debian)
	_, err = parseRelease([]byte("PRETTY_NAME=\"Plan 9\"\nID=plan9\n"))
	require.ErrorContains(t, err, `the host runs "Plan 9"`)
}

func TestDescribeSystem_HashesWhatPackagesMake(t *testing.T) {
	bookworm := release{id: "debian", codename: "bookworm"}
	first := describeSystem(bookworm, 4096)
	require.Equal(t, first, describeSystem(bookworm, 4096))
	require.NotEqual(t, first.hash, describeSystem(bookworm, 8192).hash)
	require.NotEqual(t, first.hash, describeSystem(release{id: "debian", codename: "trixie"}, 4096).hash)
}

// A new guest agent is another image of the same system.
func TestHashImage_HashesWhatWrennAdds(t *testing.T) {
	system := describeSystem(release{id: "debian", codename: "bookworm"}, 4096)
	hash := func(agent string) string {
		own, err := describeDirectory([]byte(agent))
		require.NoError(t, err)
		return hashImage(system, systemFiles(), own)
	}
	one := hash("one")
	require.Equal(t, one, hash("one"))
	require.NotEqual(t, one, hash("two"))
	require.NotEqual(t, one, hashImage(system, nil, nil))
}

func TestHashStrings_TellsWhereOneEndsAndTheNextBegins(t *testing.T) {
	require.NotEqual(t, hashStrings("ab", "c"), hashStrings("a", "bc"))
}

func TestUnfinished_LeavesNothingOfABuildThatFailed(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "image")
	err := inUnfinished(directory, func(work string) error {
		require.NoError(t, os.WriteFile(filepath.Join(work, "half"), nil, 0o600))
		return errors.New("no more space")
	})
	require.EqualError(t, err, "no more space")
	entries, err := os.ReadDir(filepath.Dir(directory))
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestPrune_KeepsWhatWasUsedLately(t *testing.T) {
	cache := t.TempDir()
	for _, name := range []string{"images/used", "images/old", "images/half.new", "systems/used"} {
		require.NoError(t, os.MkdirAll(filepath.Join(cache, name), 0o755))
	}
	long := time.Now().Add(-2 * keepUnused)
	for _, name := range []string{"images/used", "images/old"} {
		require.NoError(t, os.Chtimes(filepath.Join(cache, name), long, long))
	}
	markUsed(filepath.Join(cache, "images/used"))
	require.NoError(t, prune(cache, time.Now()))
	require.DirExists(t, filepath.Join(cache, "images/used"))
	require.DirExists(t, filepath.Join(cache, "systems/used"))
	require.NoDirExists(t, filepath.Join(cache, "images/old"))
	require.NoDirExists(t, filepath.Join(cache, "images/half.new"))
}

func TestLockCache_LetsOneBuildAtATime(t *testing.T) {
	options := ImageOptions{CacheDir: t.TempDir(), Progress: func(string) {}}
	unlock, err := lockCache(t.Context(), options)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var waited sync.Once
	waiting := false
	options.Progress = func(string) { waited.Do(func() { waiting = true }) }
	_, err = lockCache(ctx, options)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.True(t, waiting, "who waits is told")
	unlock()
	unlock, err = lockCache(t.Context(), options)
	require.NoError(t, err)
	unlock()
}

// TestBuildImage_IsADebianAndADirectoryOfWrenns builds the real image, or takes it from
// the machine's cache, where running Wrenn puts the same.
func TestBuildImage_IsADebianAndADirectoryOfWrenns(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: builds a Debian root file system")
	}
	agent, err := filepath.Abs("../../bin/envd")
	require.NoError(t, err)
	require.FileExists(t, agent, "run: make build")
	options := ImageOptions{
		CacheDir: "/var/cache/wrenn", EnvdPath: agent, DiskMiB: 4096, Log: slog.New(slog.DiscardHandler),
		Progress: func(line string) { t.Log(line) },
	}
	image, err := BuildImage(t.Context(), options)
	require.NoError(t, err)
	require.Equal(t, "0.6.4", image.EnvdVersion)
	require.FileExists(t, image.KernelPath)
	require.FileExists(t, image.InitramfsPath)
	require.NotEmpty(t, image.additions)
	content, err := os.ReadFile(agent)
	require.NoError(t, err)
	brought, err := os.ReadFile(filepath.Join(image.DirectoryPath, agentPath))
	require.NoError(t, err)
	require.Equal(t, content, brought)
	for _, name := range []string{"bin/busybox", "bin/modprobe", bundlePath, "network.json", "supervise"} {
		require.FileExists(t, filepath.Join(image.DirectoryPath, name))
	}
	requireCommands(t, image.RootfsPath)

	began := time.Now()
	var steps []string
	options.Progress = func(line string) { steps = append(steps, line) }
	again, err := BuildImage(t.Context(), options)
	require.NoError(t, err)
	require.Equal(t, image, again)
	require.Empty(t, strings.Join(steps, "\n"), "the second time there is nothing to do")
	require.Less(t, time.Since(began), 10*time.Second)
}

// expectedCommands are what E2B's base template has, and what makes a guest a
// machine like others. Debian has links in /bin and /sbin for all of these.
var expectedCommands = []string{
	"bin/awk", "bin/bash", "bin/busybox", "bin/curl", "bin/dig", "bin/file", "bin/fusermount3", "bin/g++", "bin/gcc",
	"bin/git", "bin/gpg", "bin/jq", "bin/less", "bin/make", "bin/nano", "bin/node", "bin/npm", "bin/npx", "bin/nslookup",
	"bin/ping", "bin/pip", "bin/pip3", "bin/ps", "bin/python3", "bin/rsync", "bin/socat", "bin/ssh", "bin/ssh-keygen",
	"bin/sudo", "bin/systemd-tmpfiles", "bin/tar", "bin/top", "bin/unzip", "bin/wget", "bin/xz", "bin/zip",
	"sbin/ip", "sbin/iptables", "sbin/modprobe", "sbin/sysctl",
}

// requireCommands looks for programs in a root file system.
func requireCommands(t *testing.T, rootfs string) {
	t.Helper()
	for _, command := range expectedCommands {
		found, err := exec.CommandContext(t.Context(), "debugfs", "-R", "stat /usr/"+command, rootfs).Output()
		require.NoError(t, err)
		require.Contains(t, string(found), "Inode: ", "/usr/%s", command)
	}
}
