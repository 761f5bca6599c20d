// Package guesttest tries out disks of images with the guests' own kernel.
package guesttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cavaliergopher/cpio"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/image"
	"git.omukk.dev/wrenn/sandbox/internal/image/imagetest"
	"git.omukk.dev/wrenn/sandbox/internal/template"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/qemu"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/vmmtest"
)

func TestMain(m *testing.M) { os.Exit(vmmtest.Main(m)) }

// agent is the guest agent's binary, of which the guests' image is made.
const agent = "../../../bin/envd"

func guestImage(t *testing.T) template.Image {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: builds a guest image")
	}
	path, err := filepath.Abs(agent)
	require.NoError(t, err)
	require.FileExists(t, path, "run: make build")
	found, err := template.BuildImage(t.Context(), vmmtest.ImageOptions(path, func(line string) { t.Log(line) }, slog.New(slog.DiscardHandler)))
	require.NoError(t, err)
	return found
}

// initramfs is the guests' initramfs with the test's program as its first process.
func initramfs(t *testing.T, of template.Image) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "init")
	build := exec.Command("go", "build", "-o", program, "./testdata/init")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	output, err := build.CombinedOutput()
	require.NoError(t, err, string(output))
	content, err := os.ReadFile(program)
	require.NoError(t, err)

	from, err := os.Open(of.InitramfsPath)
	require.NoError(t, err)
	defer from.Close()
	path := filepath.Join(t.TempDir(), "initramfs")
	to, err := os.Create(path)
	require.NoError(t, err)
	reader, writer := cpio.NewReader(from), cpio.NewWriter(to)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		if header.Name == "init" || strings.HasPrefix(header.Name, "wrenn") {
			continue
		}
		require.NoError(t, writer.WriteHeader(header))
		_, err = io.Copy(writer, reader)
		require.NoError(t, err)
	}
	require.NoError(t, writer.WriteHeader(&cpio.Header{Name: "init", Mode: cpio.TypeReg | 0o755, Size: int64(len(content))}))
	_, err = writer.Write(content)
	require.NoError(t, err)
	require.NoError(t, writer.Close())
	require.NoError(t, to.Close())
	return path
}

// boot runs a guest until it ends, and returns what it printed. Under emulation on a busy
// host, some kernels hang while they measure their clocks.
func boot(t *testing.T, kernel, initramfs, disk string) string {
	t.Helper()
	line := "console=ttyS0 quiet reboot=t panic=-1 tsc=reliable mitigations=off"
	if rate := qemu.CounterKHz(); rate > 0 {
		line += fmt.Sprintf(" tsc_early_khz=%d", rate)
	}
	const attempts, timeout = 3, 90 * time.Second
	var output []byte
	for range attempts {
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		command := exec.CommandContext(ctx, "qemu-system-x86_64", "-M", "microvm,acpi=on,rtc=on,isa-serial=on", "-accel", "tcg", "-cpu", "max", "-m", "256M",
			"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio", "-kernel", kernel, "-initrd", initramfs, "-append", line,
			"-blockdev", "driver=file,node-name=file,discard=unmap,filename="+disk, "-blockdev", "driver=raw,node-name=disk,file=file,discard=unmap,detect-zeroes=unmap",
			"-device", "virtio-blk-device,drive=disk")
		output, _ = command.CombinedOutput()
		if bytes.Contains(output, []byte("fact:")) {
			break
		}
	}
	return string(output)
}

func TestDisk_IsWrittenAndGrownByTheGuestsKernel(t *testing.T) {
	guest := guestImage(t)
	registry := imagetest.Serve(t)
	reference := registry.Push(t, "team/app:1", imagetest.Image(t, v1.Config{},
		imagetest.Layer(t, imagetest.Gzip, imagetest.Archive(t, imagetest.File("etc/name", 0o644, "what is in the image")))))
	store, err := image.Open(image.StoreConfig{
		BlobDir: t.TempDir(), DiskDir: t.TempDir(), BlobBytes: 1 << 30, DiskBytes: 1 << 30,
		Registries: image.Registries{Insecure: []string{registry.Host}}, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	found, err := store.Resolve(t.Context(), image.Source{Reference: reference}, image.DefaultPlatform)
	require.NoError(t, err)
	disk := filepath.Join(t.TempDir(), "disk")
	require.NoError(t, store.WriteDisk(t.Context(), found, disk, image.DiskOptions{MiB: 512}))
	require.NoError(t, os.Truncate(disk, 8<<30)) // more blocks of group descriptors than before

	said := boot(t, guest.KernelPath, initramfs(t, guest), disk)
	require.Contains(t, said, "fact: read what is in the image", said)
	require.Contains(t, said, "fact: done", said)
	grown := regexp.MustCompile(`grown from (\d+) to (\d+) MiB, from (\d+) to (\d+) inodes`).FindStringSubmatch(said)
	require.NotNil(t, grown, said)
	t.Log(grown[0])
	number := func(text string) int {
		value, err := strconv.Atoi(text)
		require.NoError(t, err)
		return value
	}
	require.Less(t, number(grown[1]), 512)
	require.Greater(t, number(grown[2]), 7900)
	require.Equal(t, number(grown[3])*16, number(grown[4]), "inodes come with the blocks")
	output, err := exec.Command("e2fsck", "-fn", disk).CombinedOutput()
	require.NoError(t, err, string(output))
}
