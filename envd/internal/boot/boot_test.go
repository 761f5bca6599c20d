package boot

import (
	"encoding/json"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/envd/internal/module"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(content)
}

func TestCommandLine_HasWordsWithAndWithoutValues(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cmdline")
	write(t, path, "console=ttyS0 quiet wrenn.init=systemd wrenn.probe\n")
	words, err := commandLine(path)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"console": "ttyS0", "quiet": "", "wrenn.init": "systemd", "wrenn.probe": ""}, words)
}

func TestReadSettings_BearsWhatAnImageMayHaveThere(t *testing.T) {
	directory := t.TempDir()
	settings, err := ReadSettings(directory)
	require.NoError(t, err)
	require.Zero(t, settings)
	path := filepath.Join(directory, SettingsFile)
	write(t, path, `{"init":"systemd"}`)
	settings, err = ReadSettings(directory)
	require.NoError(t, err)
	require.Equal(t, InitSystemd, settings.Init)
	write(t, path, strings.Repeat(" ", 2*maxSettingsBytes)+"{}")
	_, err = ReadSettings(directory)
	require.Error(t, err)
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.Symlink("/etc/passwd", path))
	_, err = ReadSettings(directory)
	require.Error(t, err, "a link is not followed")
}

func TestMakeMountPoint_RefusesWhatWouldMountElsewhere(t *testing.T) {
	root := t.TempDir()
	require.NoError(t, makeMountPoint(filepath.Join(root, "new")))
	require.NoError(t, makeMountPoint(filepath.Join(root, "new")), "it is there")
	require.NoError(t, os.Symlink("new", filepath.Join(root, "link")))
	require.ErrorContains(t, makeMountPoint(filepath.Join(root, "link")), "the image has a file")
}

func TestMakeDirectory_ReplacesALinkThatLeadsNowhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tmp")
	require.NoError(t, os.Symlink("/no/such/place", path))
	require.NoError(t, makeDirectory(path))
	info, err := os.Lstat(path)
	require.NoError(t, err)
	require.True(t, info.IsDir())
}

func TestParseDevice_ReadsWhatDepmodWrites(t *testing.T) {
	for line, want := range map[string]module.Device{
		"cuda nvidia c10:229":        {Name: "nvidia", Major: 10, Minor: 229},
		"tun net/tun c10:200":        {Name: "net/tun", Major: 10, Minor: 200},
		"loop loop-control b7:0":     {Name: "loop-control", Block: true, Major: 7},
		"# Device nodes to trigger":  {},
		"evil ../../etc/passwd c1:1": {},
		"short name":                 {},
		"bad name c10":               {},
	} {
		device, ok := parseDevice(line)
		require.Equal(t, want.Name != "", ok, line)
		if ok {
			require.Equal(t, want, device, line)
		}
	}
}

func TestApplySysctls_TakesTheImagesFilesInTheirOrder(t *testing.T) {
	root, settings := t.TempDir(), t.TempDir()
	for _, name := range []string{"kernel/pid_max", "vm/swappiness", "net/ipv4/conf/eth0.1/rp_filter", "net/ipv4/conf/all/rp_filter", "fs/file-max"} {
		write(t, filepath.Join(settings, name), "before")
	}
	write(t, filepath.Join(root, ownSysctl), "# ours\nkernel.pid_max = 1\nvm.swappiness=1\nfs.file-max = 1\n-kernel.unknown = 1\n")
	write(t, filepath.Join(root, "usr/lib/sysctl.d/50-wrenn.conf"), "fs.file-max = old\n")
	write(t, filepath.Join(root, "usr/lib/sysctl.d/60-mine.conf"), "kernel.pid_max = hidden\n")
	write(t, filepath.Join(root, "etc/sysctl.d/60-mine.conf"), "kernel.pid_max = 2\nnet.ipv4.conf.*.rp_filter = 2\nnet.ipv4.conf.eth0/1.rp_filter = 3")
	write(t, filepath.Join(root, "etc/sysctl.conf"), ";last\nvm.swappiness = 3\nkernel.missing=1\nno setting\nkernel/../../evil = 1\n")
	err := applySysctls(root, settings)
	require.ErrorContains(t, err, "set kernel/missing")
	require.NotContains(t, err.Error(), "unknown")
	require.ErrorContains(t, err, "the name leaves the kernel's settings")
	for name, want := range map[string]string{
		"kernel/pid_max": "2\n", "vm/swappiness": "3\n", "fs/file-max": "1\n", "net/ipv4/conf/all/rp_filter": "2\n", "net/ipv4/conf/eth0.1/rp_filter": "3\n",
	} {
		require.Equal(t, want, read(t, filepath.Join(settings, name)), name)
	}
}

func TestMakePlaces_KeepsWhatTheImageHas(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: gives files away")
	}
	root := t.TempDir()
	write(t, filepath.Join(root, "tmp/kept"), "kept")
	write(t, filepath.Join(root, "etc/passwd"), "root:x:0:0::/root:/bin/sh\nuser:x:1005:1005::/home/user:/bin/bash\n")
	require.NoError(t, os.Symlink("/dev/null", filepath.Join(root, "run")))
	require.NoError(t, os.Remove(filepath.Join(root, "run")))
	require.NoError(t, makePlaces(root))
	require.Equal(t, "kept", read(t, filepath.Join(root, "tmp/kept")))
	info, err := os.Stat(filepath.Join(root, "tmp"))
	require.NoError(t, err)
	require.Equal(t, os.ModeDir|os.ModeSticky|0o777, info.Mode())
	require.DirExists(t, filepath.Join(root, "run/user/1005"))
	require.NoDirExists(t, filepath.Join(root, "var/log"), "the image does without")
}

func TestIDOf_BearsAnyPasswd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passwd")
	write(t, path, "user\n:::\nuser:x\nuser:x:7:7::/:\nuser:x:8:8::/:")
	id, found := idOf(path, "user")
	require.True(t, found)
	require.Equal(t, 7, id)
	write(t, path, "user:x:99999999999999:0::/:")
	_, found = idOf(path, "user")
	require.False(t, found)
}

func TestReadNetwork_WantsIPv4(t *testing.T) {
	path := filepath.Join(t.TempDir(), "network.json")
	write(t, path, `{"address":"169.254.7.2/30","gateway":"169.254.7.1","gatewayMAC":"02:57:52:00:00:01"}`)
	n, err := readNetwork(path)
	require.NoError(t, err)
	require.Equal(t, Network{Address: netip.MustParsePrefix("169.254.7.2/30"), Gateway: netip.MustParseAddr("169.254.7.1"), GatewayMAC: "02:57:52:00:00:01"}, n)
	write(t, path, `{"address":"fe80::1/64","gateway":"fe80::2"}`)
	_, err = readNetwork(path)
	require.ErrorContains(t, err, "not IPv4")
}

func TestReadShape_ReadsTheSizeThatMkfsWrote(t *testing.T) {
	for _, options := range [][]string{{"-b", "4096"}, {"-b", "1024", "-O", "^64bit"}} {
		path := filepath.Join(t.TempDir(), "image")
		write(t, path, "")
		require.NoError(t, os.Truncate(path, 16<<20))
		arguments := append(append([]string{"-q", "-F"}, options...), path)
		output, err := exec.Command("mkfs.ext4", arguments...).CombinedOutput()
		require.NoError(t, err, "%s", output)
		require.NoError(t, os.Truncate(path, 32<<20))
		image, err := os.Open(path)
		require.NoError(t, err)
		shape, err := readShape(image)
		require.NoError(t, err)
		require.EqualValues(t, 16<<20, shape.blocks*shape.blockBytes)
		require.NoError(t, image.Close())
	}
}

func TestReadShape_RefusesOtherDisks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image")
	write(t, path, strings.Repeat("\x00", 4096))
	image, err := os.Open(path)
	require.NoError(t, err)
	defer image.Close()
	_, err = readShape(image)
	require.ErrorContains(t, err, "no ext4")
}

func TestWriteUnits_StartTheAgentAndMaskWhatWouldWait(t *testing.T) {
	run := t.TempDir()
	require.NoError(t, writeUnits(run, Network{Gateway: netip.MustParseAddr("169.254.7.1")}))
	require.Contains(t, read(t, filepath.Join(run, "systemd/system/sysinit.target.wants", agentUnit)), "ExecStart=/.wrenn/bin/envd")
	require.Contains(t, read(t, filepath.Join(run, "systemd/resolved.conf.d/wrenn.conf")), "DNS=169.254.7.1\n")
	target, err := os.Readlink(filepath.Join(run, "systemd/system", maskedUnits[0]))
	require.NoError(t, err)
	require.Equal(t, "/dev/null", target)
}

func TestSettings_HaveOneForm(t *testing.T) {
	content, err := json.Marshal(Settings{Init: InitSystemd})
	require.NoError(t, err)
	require.JSONEq(t, `{"init":"systemd"}`, string(content))
}
