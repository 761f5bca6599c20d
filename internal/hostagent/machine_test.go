package hostagent

import (
	"os"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/vmmtest"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
)

// testHostName creates a sandbox that knows its ID, as those of clients do.
func testHostName(t *testing.T, a *agentUnderTest, _ string) {
	named := id.NewSandbox()
	a.killAfter(t, named)
	_, err := a.CreateSandbox(t.Context(), connect.NewRequest(&pb.CreateSandboxRequest{
		SandboxId: named, BuildId: a.build,
		Identity: &pb.Identity{LifecycleId: named, EnvVars: map[string]string{"E2B_SANDBOX_ID": named}},
	}))
	require.NoError(t, err)
	require.Equal(t, named, a.run(t, named, "hostname"))
	require.Contains(t, a.run(t, named, "getent hosts $(hostname)"), named)
	require.Empty(t, a.run(t, named, "sudo true 2>&1"), "sudo resolves the name")
}

func testMachineIdentity(t *testing.T, a *agentUnderTest, sandboxID string) {
	const identity = "cat /etc/machine-id /proc/sys/kernel/random/boot_id"
	before := strings.Fields(a.run(t, sandboxID, identity))
	a.pause(t, sandboxID)
	a.resume(t, sandboxID)
	after := strings.Fields(a.run(t, sandboxID, identity))
	require.Len(t, before, 2)
	require.Len(t, after, 2)
	require.NotEqual(t, before[0], after[0])
	require.NotEqual(t, before[1], after[1])
}

func testSettings(t *testing.T, a *agentUnderTest, id string) {
	requireAnswers(t, a, id, map[string]string{
		"ulimit -Hn; ulimit -Sn":    "1048576\n65536",
		"sudo bash -c 'ulimit -Hn'": "1048576",
		`echo "$LANG $(date +%Z) $XDG_RUNTIME_DIR $(stat -c '%a %U' "$XDG_RUNTIME_DIR")"`: "C.UTF-8 UTC /run/user/1000 700 user",
		"ls /etc/ssh/ssh_host_* 2>/dev/null":                                              "",
		"python --version | cut -d. -f1":                                                  "Python 3",
		// Offline: it gets as far as looking for the package.
		"pip install --no-index wrenn-none 2>&1 | grep -c externally-managed": "0",
		"ping -c1 -W5 127.0.0.1 >/dev/null && echo 1":                         "1",
		// A sandbox of a browser, or a container without root.
		"unshare -r --pid --fork --mount-proc echo alone": "alone",
	})
	a.needsLinux(t, "most of Linux's settings")
	requireAnswers(t, a, id, map[string]string{
		"sysctl -n fs.file-max":               "9223372036854775807",
		"sysctl -n net.ipv4.ping_group_range": "0\t2147483647",
		"sysctl -n fs.protected_symlinks fs.protected_hardlinks fs.protected_fifos fs.protected_regular | tr '\\n' ' '": "1 1 1 2",
		"sysctl -n fs.inotify.max_user_watches vm.max_map_count kernel.pid_max | tr '\\n' ' '":                          "524288 1048576 4194304",
		"stat -fc %T /dev/mqueue /dev/shm /dev/hugepages /sys/fs/cgroup /sys/kernel/tracing | tr '\\n' ' '":             "mqueue tmpfs hugetlbfs cgroup2fs tracefs",
		"stat -c '%a %U' /tmp /var/tmp /run/lock /dev/shm /dev/fuse /dev/net/tun | sort -u":                             "1777 root\n666 root",
		"echo $(( ($(df -k --output=size /dev/shm | tail -1) * 2 + 8) / $(awk '/MemTotal/{print $2}' /proc/meminfo) ))": "1",
	})
}

// requireAnswers wants scripts to print what they map to.
func requireAnswers(t *testing.T, a *agentUnderTest, id string, wanted map[string]string) {
	t.Helper()
	for script, want := range wanted {
		require.Equal(t, want, a.run(t, id, script), script)
	}
}

func testDrivers(t *testing.T, a *agentUnderTest, id string) {
	a.needsLinux(t, "modules")
	for script, want := range map[string]string{
		"sudo modprobe -a fuse overlay tun veth bridge nf_tables nft_compat ip_tables loop vsock tcp_bbr squashfs xfs wireguard af_alg && echo all":                                             "all",
		"sudo ip tuntap add dev tun7 mode tun && ip -br link show tun7 | cut -d' ' -f1":                                                                                                         "tun7",
		"sudo ip link add veth7 type veth peer name veth8 && sudo ip link add bridge7 type bridge && sudo ip link add wg7 type wireguard && ls /sys/class/net | grep -cE '^(veth|bridge|wg)7$'": "3",
		"sudo iptables -t nat -A POSTROUTING -j MASQUERADE && sudo iptables -t nat -S | tail -1":                                                                                                "-A POSTROUTING -j MASQUERADE",
		"sudo sysctl -n -w net.ipv4.tcp_congestion_control=bbr":                                                                                                                                 "bbr",
		`python3 -c 'import socket as s; s.socket(s.AF_ALG, s.SOCK_SEQPACKET).bind(("hash", "sha256")); s.socket(s.AF_VSOCK, s.SOCK_STREAM); print("both")'`:                                    "both",
		"cd /tmp && truncate -s 8M image && /sbin/mkfs.ext4 -q image && mkdir image.d && sudo mount -o loop image image.d && ls image.d":                                                        "lost+found",
		"cd /tmp && mkdir lower upper work merged && touch lower/below && sudo mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work overlay merged && ls merged":                      "below",
	} {
		require.Equal(t, want, a.run(t, id, script), script)
	}
}

// testContainer runs Debian's own podman with an image made in the guest, and a
// file system in user space as a user without rights.
func testContainer(t *testing.T, a *agentUnderTest, id string) {
	a.needsLinux(t, "FUSE and overlays that podman needs")
	packages, err := os.ReadFile(os.Getenv(vmmtest.PackagesVariable))
	require.NoError(t, err)
	a.send(t, id, "/tmp/packages.tar", packages)
	require.Empty(t, a.run(t, id, "sudo tar -x -C / --keep-directory-symlink -f /tmp/packages.tar && rm /tmp/packages.tar && sudo ldconfig"))
	require.Equal(t, "below fuse.fuse-overlayfs", a.run(t, id, `cd && mkdir lower upper work merged && touch lower/below &&
		fuse-overlayfs -o lowerdir=lower,upperdir=upper,workdir=work merged && echo $(ls merged) $(findmnt -no FSTYPE merged)`))
	require.Equal(t, "a container on overlay", a.run(t, id, `cd && mkdir -p image/bin && cp /bin/busybox image/bin/sh &&
		podman="sudo podman --cgroup-manager cgroupfs --events-backend none" &&
		tar -C image -c . | $podman import -q - local >/dev/null &&
		$podman run --rm --network none --log-driver none local sh -c 'echo a container on $(mount | sed -n "s,^\(.*\) on / type.*,\1,p")'`))
}
