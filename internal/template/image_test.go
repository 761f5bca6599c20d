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

func TestDescribeSystem_HashesWhatTheGuestIsMadeOf(t *testing.T) {
	bookworm := release{id: "debian", codename: "bookworm"}
	first, err := describeSystem(bookworm, 4096)
	require.NoError(t, err)
	again, err := describeSystem(bookworm, 4096)
	require.NoError(t, err)
	require.Equal(t, first.hash, again.hash)
	larger, err := describeSystem(bookworm, 8192)
	require.NoError(t, err)
	require.NotEqual(t, first.hash, larger.hash)
	newer, err := describeSystem(release{id: "debian", codename: "trixie"}, 4096)
	require.NoError(t, err)
	require.NotEqual(t, first.hash, newer.hash)
	require.Contains(t, first.network, "address add 169.254.7.2/30 dev eth0")
}

func TestHashStrings_TellsWhereOneEndsAndTheNextBegins(t *testing.T) {
	require.NotEqual(t, hashStrings("ab", "c"), hashStrings("a", "bc"))
}

func TestUnfinished_LeavesNothingOfABuildThatFailed(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "image")
	err := unfinished(directory, func(work string) error {
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

// TestBuildImage_IsADebianWithOurInit builds the real image, or takes it from
// the machine's cache, where running Wrenn puts the same.
func TestBuildImage_IsADebianWithOurInit(t *testing.T) {
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
	for path, want := range map[string]string{
		"/usr/local/bin/envd":      "Mode:  0755",
		"/usr/sbin/init":           `Fast link dest: "../bin/busybox"`,
		"/etc/sudoers.d/user":      "Mode:  0440",
		"/home/user":               "User:  1000",
		"/usr/bin/python3":         "Type: symlink",
		"/usr/bin/git":             "Type: regular",
		"/usr/bin/curl":            "Type: regular",
		"/usr/bin/socat":           "Type:",
		"/etc/wrenn/network":       "Type: regular",
		"/usr/bin/node":            "Type:",
		"/etc/init.d/rcS":          "Mode:  0755",
		"/usr/sbin/ip":             "Type:",
		"/etc/ssl/certs":           "Type: directory",
		"/usr/local/sbin/run-envd": "Mode:  0755",
	} {
		found, err := exec.CommandContext(t.Context(), "debugfs", "-R", "stat "+path, image.RootfsPath).Output()
		require.NoError(t, err)
		require.Contains(t, string(found), want, path)
	}

	began := time.Now()
	var steps []string
	options.Progress = func(line string) { steps = append(steps, line) }
	again, err := BuildImage(t.Context(), options)
	require.NoError(t, err)
	require.Equal(t, image, again)
	require.Empty(t, strings.Join(steps, "\n"), "the second time there is nothing to do")
	require.Less(t, time.Since(began), 10*time.Second)
}
