package vmmtest

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/template"
)

// busyboxTree is what alpine has: busybox as its shell and programs, accounts, and no
// bash, sudo or useradd.
func busyboxTree() rootTree {
	tree := rootTree{
		"/bin/busybox": busyboxProgram,
		"/etc/passwd":  "root:x:0:0:root:/root:/bin/sh\nguest:x:405:100:guest:/dev/null:/sbin/nologin\n",
		"/etc/group":   "root:x:0:root\nwheel:x:10:root\nshadow:x:42:\n",
		"/etc/shadow":  "root:*::0:::::\nguest:!::0:::::\n",
		"/etc/profile": "export FROM_PROFILE=yes\n",
		"/etc/motd":    "busybox\n",
		// What earlier versions of Wrenn, or a distribution, would start is not started.
		"/sbin/init": "->/bin/false", "/etc/inittab": "::sysinit:/bin/false\n", "/usr/local/bin/envd": "old", "/etc/wrenn/network": "old",
	}
	for _, name := range []string{"sh", "cat", "echo", "id", "ls", "ln", "mkdir", "mount", "nc", "rm", "sleep", "stat", "true", "uname", "wget"} {
		tree["/bin/"+name] = "->busybox"
	}
	return tree
}

func (s *suite) testBusyboxImage(t *testing.T) {
	g := s.bootImage(t, s.writeImage(t, busyboxTree()))
	made := g.prepareImage(t)
	require.True(t, made.User.Made)
	require.EqualValues(t, 1000, made.User.UID)
	require.True(t, made.Shell.StandIn)
	require.False(t, made.Sudo)
	require.Contains(t, strings.Join(made.Notes, "\n"), "/bin/bash is a stand-in")
	again := g.prepareImage(t)
	require.False(t, again.User.Made)
	require.Equal(t, made.Shell, again.Shell)

	s.reboot(t, g)
	for command, want := range map[string]string{
		"id":                              "uid=1000(user) gid=1000(user) groups=10(wheel),1000(user)",
		`echo "$HOME $PWD $FROM_PROFILE"`: "/home/user /home/user yes",
		"cat /etc/resolv.conf":            "nameserver 169.254.7.1",
		"stat -c %a /tmp":                 "1777",
		"ls /sys/class/net":               "eth0\nlo",
		"cat /proc/sys/kernel/pid_max":    "4194304",
		"for x in a b; do echo $x; done":  "a\nb",
		"cat /proc/1/comm":                "busybox",
	} {
		require.Equal(t, want, g.sdk(t, command), command)
	}
	require.Contains(t, g.runProgram(t, "user", "/bin/cat", "/proc/self/status"), "SigIgn:\t0000000000000000")
	require.Equal(t, "script x", g.sdk(t, "printf '#!/bin/bash\necho script $1\n' >/tmp/s && chmod +x /tmp/s && /tmp/s x"))
	require.Contains(t, g.runProgram(t, "root", "/bin/cat", "/etc/hosts"), "127.0.1.1\tsb-image # wrenn")
	g.requireModulesOnDemand(t)
	g.requireReachesLoopback(t)
	g.requireRespawn(t)
	g.requireUnbreakable(t)
}

// requireModulesOnDemand mounts file systems whose modules the kernel has to ask for.
func (g *guest) requireModulesOnDemand(t *testing.T) {
	t.Helper()
	require.Equal(t, "/.wrenn/bin/modprobe", g.runProgram(t, "root", "/bin/cat", "/proc/sys/kernel/modprobe"))
	script := `set -e
cd /tmp; mkdir -p lower upper work merged
mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work overlay merged
ls -d /dev/fuse /dev/net/tun; cat /proc/mounts`
	printed := g.runProgram(t, "root", "/bin/sh", "-c", script)
	require.Contains(t, printed, "/dev/fuse\n/dev/net/tun")
	require.Contains(t, printed, "overlay /tmp/merged overlay")
	require.Contains(t, printed, "/.wrenn/modules.zip ext4 ", "the bundle is the disk's copy")
}

// requireReachesLoopback reaches a server on loopback from outside, without socat.
func (g *guest) requireReachesLoopback(t *testing.T) {
	t.Helper()
	const port = 8123
	g.sdk(t, "echo hello >/tmp/index.html && /.wrenn/bin/busybox httpd -p 127.0.0.1:8123 -h /tmp")
	address := "http://" + netip.AddrPortFrom(g.slot.Address(), port).String() + "/index.html"
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	seen := ""
	require.Eventually(t, func() bool {
		response, err := client.Get(address)
		if err != nil {
			seen = err.Error()
			return false
		}
		defer response.Body.Close()
		content, _ := io.ReadAll(response.Body)
		seen = string(content)
		return seen == "hello\n"
	}, answerTimeout, 200*time.Millisecond, "what was read last: %q", &seen)
}

// requireRespawn kills the guest agent, which is started again.
func (g *guest) requireRespawn(t *testing.T) {
	t.Helper()
	before := g.runProgram(t, "root", "/.wrenn/bin/busybox", "pidof", "envd")
	ctx, cancel := context.WithTimeout(t.Context(), answerTimeout)
	defer cancel()
	_ = g.envd.Run(ctx, "", "/.wrenn/bin/busybox pkill -9 -x envd || /.wrenn/bin/busybox killall -9 envd") // it has no answer
	require.NoError(t, g.envd.AwaitHealthy(ctx))
	g.init(t)
	require.NotEqual(t, before, g.runProgram(t, "root", "/.wrenn/bin/busybox", "pidof", "envd"))
}

// requireUnbreakable removes all files, after which the guest agent still works.
func (g *guest) requireUnbreakable(t *testing.T) {
	t.Helper()
	_, _ = g.execute(t, "root", "/bin/sh", "-c", "rm -rf /bin /etc /home /lib /root /sbin /usr /var /tmp /.wrenn 2>/dev/null")
	require.Contains(t, g.runProgram(t, "root", "/.wrenn/bin/busybox", "ls", "/.wrenn/bin"), "envd")
	made := g.prepareImage(t)
	require.True(t, made.User.Made)
	require.Equal(t, "user", g.sdk(t, "id -un"))
}

func (s *suite) testScratchImage(t *testing.T) {
	g := s.bootImage(t, s.writeImage(t, rootTree{"/app/busybox": busyboxProgram}))
	made := g.prepareImage(t)
	require.Contains(t, strings.Join(made.Notes, "\n"), "the image has no /etc/passwd")
	require.Contains(t, strings.Join(made.Notes, "\n"), "the image has no shell")
	s.reboot(t, g)
	require.Equal(t, "uid=1000(user) gid=1000(user) groups=1000(user)", g.sdk(t, "id"))
	require.Equal(t, "3 home root", g.sdk(t, "echo $(printf 'a\nb\nc\n' | wc -l) $(ls / | grep -E '^(home|root)$')"))
	require.Equal(t, "1777 /tmp", g.sdk(t, "stat -c '%a %n' /tmp; : >/tmp/file"))
	require.Equal(t, "served", g.runProgram(t, "user", "/app/busybox", "echo", "served"))
	require.Equal(t, "root", g.runProgram(t, "root", "/bin/sh", "-c", "id -un"))
	g.requireReachesLoopback(t)
	g.pause(t)
	taken := s.snapshot(t, g)
	g.end(t)
	clone := s.restore(t, taken)
	require.Equal(t, "cloned", clone.sdk(t, "echo cloned"))
}

func (s *suite) testTakenImage(t *testing.T) {
	tree := busyboxTree()
	tree["/etc/passwd"] += "node:x:1000:1000::/home/node:/bin/sh\n"
	tree["/etc/group"] += "node:x:1000:node\n"
	tree["/usr/bin/env"] = "->/bin/busybox"
	tree["/usr/bin/sudo"] = busyboxProgram // it is not run: that there is one is what counts
	tree["/etc/sudoers"] = "root ALL=(ALL) ALL\n"
	tree["/tmp/"] = ""
	g := s.bootImage(t, s.writeImage(t, tree))
	made := g.prepareImage(t)
	require.EqualValues(t, 1001, made.User.UID)
	require.True(t, made.Sudo)
	s.reboot(t, g)
	require.Equal(t, "uid=1001(user) gid=1001(user) groups=10(wheel),1001(user)", g.sdk(t, "id"))
	require.Equal(t, "/run/user/1001 700", g.sdk(t, `echo "$XDG_RUNTIME_DIR $(stat -c %a $XDG_RUNTIME_DIR)"`))
	require.Equal(t, "440 root", g.runProgram(t, "root", "/bin/stat", "-c", "%a %U", "/etc/sudoers.d/user"))
	require.Contains(t, g.runProgram(t, "root", "/bin/cat", "/etc/sudoers"), "#includedir /etc/sudoers.d")
}

func (s *suite) testHostileImage(t *testing.T) {
	tree := busyboxTree()
	delete(tree, "/etc/shadow")
	tree["/etc/passwd"] = strings.Repeat("x:", 1<<20) + "\nroot:x:0:0::/root:/bin/sh"
	tree["/etc/resolv.conf"] = "->/proc/1/root/etc/resolv.conf"
	tree["/etc/hostname"] = strings.Repeat("h", 1000)
	tree["/etc/sysctl.d/99-bad.conf"] = "../../tmp/x = 1\nkernel.panic\n"
	tree["/.wrenn/settings.json"] = "not json"
	tree["/tmp"] = "->/no/such/place"
	tree["/usr/bin/systemd-tmpfiles"] = busyboxProgram
	tree["/lib/modules/6.0/modules.dep"] = ""
	g := s.bootImage(t, s.writeImage(t, tree))
	made := g.prepareImage(t)
	require.Empty(t, made.Failure)
	require.Contains(t, strings.Join(made.Notes, "\n"), "the image brings settings that cannot be read")
	require.Equal(t, "user", g.sdk(t, "echo $USER"))
	require.Len(t, g.runProgram(t, "root", "/bin/uname", "-n"), len("sb-image"))

	tree = busyboxTree()
	tree["/.wrenn"] = "->/etc"
	broken := s.prepare(t, s.writeImage(t, tree))
	broken.bootOnce(t, s, nil)
	require.Contains(t, broken.awaitRefusal(t), "the image has a file at /.wrenn")
}

// awaitConsole waits until the machine has printed a text, and returns all that it has
// printed.
func (g *guest) awaitConsole(t *testing.T, text string) string {
	t.Helper()
	machine, ok := g.machine.(interface {
		Console(ctx context.Context) (string, error)
	})
	if !ok {
		t.Skip("the driver keeps no console")
	}
	said := ""
	for deadline := time.Now().Add(bootTimeout); !strings.Contains(said, text); <-time.After(pollEvery) {
		require.Less(t, time.Now(), deadline, "the console has %q", said)
		more, err := machine.Console(t.Context())
		require.NoError(t, err)
		said += more // what was read is gone
	}
	return said
}

// awaitRefusal waits until the first program has said that the guest does not boot, and
// the machine has ended.
func (g *guest) awaitRefusal(t *testing.T) string {
	t.Helper()
	said := g.awaitConsole(t, "the guest does not boot")
	select {
	case <-g.machine.Done():
	case <-time.After(answerTimeout):
		require.Fail(t, "the machine runs on")
	}
	return said
}

const pollEvery = 100 * time.Millisecond

// testGrowth boots a file system on a larger disk, as it was made by mkfs and without what
// mkfs reserves for growing.
func (s *suite) testGrowth(t *testing.T) {
	const grownMiB = 2048
	for _, options := range [][]string{nil, {"-O", "^resize_inode"}, {"-O", "^has_journal,^resize_inode,^flex_bg", "-b", "4096"}} {
		g := s.prepare(t, s.writeImage(t, busyboxTree(), options...))
		require.NoError(t, os.Truncate(g.spec.DiskPath, grownMiB<<20))
		s.start(t, g)
		blocks, err := strconv.Atoi(g.runProgram(t, "root", "/bin/stat", "-f", "-c", "%b", "/"))
		require.NoError(t, err)
		require.Greater(t, blocks*4096>>20, grownMiB*9/10, "%s", options)
		require.Equal(t, "busybox", g.runProgram(t, "root", "/bin/cat", "/etc/motd"))
		g.runProgram(t, "root", "/.wrenn/bin/busybox", "dd", "if=/dev/zero", "of=/large", "bs=1M", "count="+strconv.Itoa(2*imageMiB))
		s.reboot(t, g)
		require.Equal(t, strconv.Itoa(2*imageMiB<<20), g.runProgram(t, "root", "/bin/stat", "-c", "%s", "/large"))
		g.runProgram(t, "root", "/.wrenn/bin/busybox", "sync")
		g.end(t)
		// The kernel replays the journal; a check after that finds nothing.
		output, err := exec.CommandContext(t.Context(), "e2fsck", "-fy", g.spec.DiskPath).CombinedOutput()
		require.Less(t, exitStatus(err), 2, "%s: %s", options, output)
	}
}

// exitStatus is a program's; -1 for one that did not run.
func exitStatus(err error) int {
	if err == nil {
		return 0
	}
	if ended, ok := err.(*exec.ExitError); ok { //nolint:errorlint // it is what Cmd returns
		return ended.ExitCode()
	}
	return -1
}

// testPreparedBase prepares the base template, which needs nothing.
func (s *suite) testPreparedBase(t *testing.T) {
	g := s.bootImage(t, s.rootfs)
	made := g.prepareImage(t)
	require.False(t, made.User.Made)
	require.EqualValues(t, 1000, made.User.UID)
	require.Equal(t, "/usr/bin/bash", made.Shell.Bash)
	require.True(t, made.Sudo)
	require.Equal(t, "wrenn", made.Init)
	require.Empty(t, made.Notes)
	require.Equal(t, "root", g.sdk(t, "sudo id -un"))
	require.NotContains(t, g.runProgram(t, "root", "/bin/ls", "/.wrenn"), "modules.zip", "the image has its modules")
}

// testSystemd installs systemd into the base template and boots it as PID 1.
func (s *suite) testSystemd(t *testing.T) {
	g := s.bootImage(t, s.rootfs)
	packages, err := os.Open(os.Getenv(PackagesVariable))
	require.NoError(t, err)
	defer packages.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 4*answerTimeout)
	defer cancel()
	response, err := g.envd.HTTPClient().Post(g.envd.BaseURL()+"/files?path=/tmp/packages.tar&username=root", "application/octet-stream", packages)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.NoError(t, response.Body.Close())
	g.run(t, "tar -x -C / --keep-directory-symlink -f /tmp/packages.tar && rm /tmp/packages.tar && ldconfig")
	made := g.prepareImage(t, template.PrepareInit, template.InitSystemd)
	require.True(t, made.Systemd)
	require.Equal(t, "systemd", made.Init)
	s.reboot(t, g)
	require.Equal(t, "systemd", g.sdk(t, "cat /proc/1/comm"))
	require.Equal(t, "active", g.sdk(t, "sudo systemctl is-active wrenn-envd.service"))
	require.Equal(t, "0::/commands/user", g.sdk(t, "cat /proc/self/cgroup"))
	require.Equal(t, "root", g.sdk(t, "sudo id -un"))
	g.run(t, "printf '[Service]\nExecStart=/bin/sleep 1000\n' >/run/systemd/system/mine.service && systemctl start mine.service")
	require.Equal(t, "active", g.sdk(t, "sudo systemctl is-active mine.service"))
	before := g.sdk(t, "sudo systemctl show -p MainPID --value wrenn-envd.service")
	_ = g.envd.Run(ctx, "", "kill -9 "+before) // it has no answer
	require.NoError(t, g.envd.AwaitHealthy(ctx), "systemd starts the guest agent again")
	g.init(t)
	require.NotEqual(t, before, g.sdk(t, "sudo systemctl show -p MainPID --value wrenn-envd.service"))
	g.pause(t)
	taken := s.snapshot(t, g)
	g.end(t)
	clone := s.restore(t, taken)
	require.Equal(t, "active", clone.sdk(t, "sudo systemctl is-active mine.service"))

	made = clone.prepareImage(t, template.PrepareInit, template.InitWrenn)
	require.Equal(t, "wrenn", made.Init)
	s.reboot(t, clone)
	require.Equal(t, "busybox", clone.sdk(t, "cat /proc/1/comm"))
}

func (s *suite) testNoSystemd(t *testing.T) {
	image := s.writeImage(t, busyboxTree())
	g := s.bootImage(t, image)
	require.Contains(t, g.prepareImage(t, template.PrepareInit, template.InitSystemd).Failure, "the image has no systemd")
	require.Contains(t, g.prepareImage(t, template.PrepareInit, "upstart").Failure, `an init "upstart" is not known`)
	require.Equal(t, "wrenn", g.prepareImage(t).Init)
	g.end(t)
	ignoring := s.bootImage(t, image, "wrenn.init=wrenn")
	require.Equal(t, "busybox", ignoring.runProgram(t, "root", "/bin/cat", "/proc/1/comm"))
	ignoring.end(t)
	refused := s.prepare(t, image)
	refused.bootOnce(t, s, []string{"wrenn.init=systemd"})
	require.Contains(t, refused.awaitRefusal(t), "the image has no systemd")

	other := s.prepare(t, image)
	other.bootOnce(t, s, []string{"wrenn.init=/bin/sh"})
	other.awaitConsole(t, "built-in shell") // a program of the disk, by its path
}
