package template

import (
	"archive/zip"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEnsureBundle_HoldsModulesThatNeedNoHardware(t *testing.T) {
	kernel := Kernel{directory: fakeKernel(t, map[string]string{
		"fs/fuse/fuse.ko":                     "",
		"fs/overlayfs/overlay.ko.zst":         "",
		"net/netfilter/nf-tables.ko":          "libcrc32c,nfnetlink",
		"net/netfilter/nfnetlink.ko":          "",
		"lib/libcrc32c.ko":                    "",
		"drivers/net/ethernet/intel/e1000.ko": "",
		"drivers/gpu/drm/drm.ko":              "",
		"drivers/scsi/sd_mod.ko":              "t10-pi",
		"drivers/scsi/t10-pi.ko":              "",
	}, "")}
	directory := t.TempDir()
	path, err := ensureBundle(directory, kernel)
	require.NoError(t, err)
	archive, err := zip.OpenReader(path)
	require.NoError(t, err)
	defer func() { require.NoError(t, archive.Close()) }()
	contents := map[string]string{}
	for _, file := range archive.File {
		opened, err := file.Open()
		require.NoError(t, err)
		content, err := io.ReadAll(opened)
		require.NoError(t, err)
		contents[file.Name] = string(content)
	}
	require.Equal(t, "module fuse\nmodule libcrc32c\nmodule nfnetlink\nmodule nf_tables libcrc32c,nfnetlink\nmodule overlay\nmodule t10_pi\nmodule sd_mod t10_pi\n",
		contents["index"])
	require.Len(t, contents, 8)
	require.Contains(t, contents["overlay.ko"], "ELF", "it is decompressed")

	before, err := os.Stat(path)
	require.NoError(t, err)
	again, err := ensureBundle(directory, kernel)
	require.NoError(t, err)
	after, err := os.Stat(again)
	require.NoError(t, err)
	require.True(t, os.SameFile(before, after), "it is made once")
}

func TestIndexOf_HasAliasesAndDevices(t *testing.T) {
	information := func(fields string) []byte { return []byte("ELF\x00" + fields + "\x00") }
	require.Equal(t, "module tun\nalias char_major_10_200 tun\ndevice net/tun c 10 200\n"+
		"module loop\nalias block_major_7_* loop\n"+
		"module ftdi\n",
		string(indexOf([]module{
			{name: "tun.ko", content: information("alias=devname:net/tun\x00alias=char-major-10-200\x00depends=")},
			{name: "loop.ko", content: information("alias=block-major-7-*")},
			{name: "ftdi.ko", content: information("alias=usb:v0403p6001\x00alias=devname:../etc\x00alias=char-major-1-1x:")},
		})))
}

func TestWriteDirectory_IsTheSameOnTheHost(t *testing.T) {
	target := filepath.Join(t.TempDir(), "wrenn")
	require.NoError(t, directory{
		{path: "bin/envd", mode: 0o755, content: []byte("agent")}, {path: "bin/modprobe", link: "envd"}, {path: "sysctl.conf", mode: 0o644},
	}.write(target))
	content, err := os.ReadFile(filepath.Join(target, "bin/modprobe"))
	require.NoError(t, err)
	require.Equal(t, "agent", string(content))
	info, err := os.Stat(filepath.Join(target, "bin/envd"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o755), info.Mode())
}

func TestDescribeNetwork_HasTheGuestsAddress(t *testing.T) {
	description, err := describeNetwork()
	require.NoError(t, err)
	require.JSONEq(t, `{"address": "169.254.7.2/30", "gateway": "169.254.7.1", "gatewayMAC": "02:57:52:00:00:01"}`, string(description))
}
