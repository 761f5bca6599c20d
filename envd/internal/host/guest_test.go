package host

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func authority(t *testing.T, name string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), IsCA: true}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
}

func TestCertificates_ReplaceThoseInstalledBefore(t *testing.T) {
	directory := t.TempDir()
	c := Certificates{stores: []string{filepath.Join(directory, "ssl", "all.crt")}, own: filepath.Join(directory, "own", "wrenn.crt")}
	distribution, first, second := authority(t, "distribution"), authority(t, "first"), authority(t, "second")
	require.NoError(t, os.MkdirAll(filepath.Dir(c.stores[0]), 0o755))
	require.NoError(t, os.WriteFile(c.stores[0], distribution, 0o644))

	require.NoError(t, c.Install(first))
	require.NoError(t, c.Install(first), "twice is once")
	content, err := os.ReadFile(c.stores[0])
	require.NoError(t, err)
	require.Equal(t, string(distribution)+string(first), string(content))

	require.NoError(t, c.Install(second))
	content, err = os.ReadFile(c.stores[0])
	require.NoError(t, err)
	require.Equal(t, string(distribution)+string(second), string(content))
	info, err := os.Stat(c.stores[0])
	require.NoError(t, err)
	require.EqualValues(t, 0o644, info.Mode().Perm())
	left, err := filepath.Glob(filepath.Join(directory, "*", ".*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestCertificates_AreTrustedInEachStoreOfTheImage(t *testing.T) {
	directory := t.TempDir()
	at := func(name string) string { return filepath.Join(directory, name) }
	c := Certificates{stores: []string{at("debian"), at("fedora"), at("link")}, anchors: []string{at("anchors"), at("none")}, own: at("own/wrenn.crt")}
	bundle := authority(t, "one")
	require.NoError(t, os.WriteFile(at("fedora"), nil, 0o644))
	require.NoError(t, os.Symlink("fedora", at("link")))
	require.NoError(t, os.Mkdir(at("anchors"), 0o755))
	require.NoError(t, c.Install(bundle))
	for _, name := range []string{"fedora", "link", "anchors/wrenn.crt", "own/wrenn.crt"} {
		content, err := os.ReadFile(at(name))
		require.NoError(t, err)
		require.Equal(t, string(bundle), string(content), name)
	}
	require.NoFileExists(t, at("debian"))
	require.NoDirExists(t, at("none"))
	target, err := os.Readlink(at("link"))
	require.NoError(t, err)
	require.Equal(t, "fedora", target, "the link stays")
}

func TestCertificates_AreInstalledInAnImageWithoutAStore(t *testing.T) {
	directory := t.TempDir()
	c := Certificates{stores: []string{filepath.Join(directory, "certs/all"), filepath.Join(directory, "other"), filepath.Join(directory, "cert.pem")}, own: filepath.Join(directory, "own")}
	bundle := authority(t, "one")
	for range 2 {
		require.NoError(t, c.Install(bundle))
		for _, path := range []string{c.stores[0], c.stores[2], c.own} {
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, string(bundle), string(content))
		}
		require.NoFileExists(t, c.stores[1])
	}
}

func TestNames_HaveTheMachinesOwnWhereNoServiceAnswersIt(t *testing.T) {
	directory := t.TempDir()
	n := Names{path: filepath.Join(directory, "hosts"), services: filepath.Join(directory, "nsswitch.conf")}
	require.NoError(t, os.WriteFile(n.path, []byte("127.0.0.1 localhost\n127.0.1.1\told # wrenn\n"), 0o644))
	for range 2 {
		require.NoError(t, n.SetOwn("sb-new"))
		content, err := os.ReadFile(n.path)
		require.NoError(t, err)
		require.Equal(t, "127.0.0.1 localhost\n127.0.1.1\tsb-new # wrenn\n", string(content))
	}
	require.NoError(t, os.WriteFile(n.services, []byte("passwd: files\nhosts:  files myhostname dns\n"), 0o644))
	require.NoError(t, n.SetOwn("sb-other"))
	content, err := os.ReadFile(n.path)
	require.NoError(t, err)
	require.Contains(t, string(content), "sb-new", "the file is left alone")
}

func TestCheckCertificates_TakesOnlyCertificates(t *testing.T) {
	good := authority(t, "good")
	require.NoError(t, CheckCertificates(good))
	require.NoError(t, CheckCertificates(append(good, authority(t, "another")...)))
	for name, bundle := range map[string][]byte{
		"nothing":         nil,
		"text":            []byte("hello"),
		"a key":           pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1}}),
		"broken content":  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{1}}),
		"good and broken": append(good, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{1}})...),
	} {
		require.ErrorIs(t, CheckCertificates(bundle), ErrNoCertificates, name)
	}
}

func TestNames_HostServiceReplacesTheOneBefore(t *testing.T) {
	n := Names{path: filepath.Join(t.TempDir(), "hosts")}
	require.NoError(t, os.WriteFile(n.path, []byte("127.0.0.1 localhost\n10.0.0.1\t"+hostService+"\n::1 ip6"), 0o644))
	for range 2 {
		require.NoError(t, n.SetHostService(netip.MustParseAddr("192.0.2.7")))
		content, err := os.ReadFile(n.path)
		require.NoError(t, err)
		require.Equal(t, "127.0.0.1 localhost\n::1 ip6\n192.0.2.7\t"+hostService+"\n", string(content))
	}
}

func TestVolume_CheckRefusesWhatCannotBeMeant(t *testing.T) {
	require.NoError(t, Volume{Target: "10.0.0.1:/data/one", Path: "/mnt/one"}.Check())
	for _, volume := range []Volume{
		{},
		{Target: "/data", Path: "/mnt"},
		{Target: ":/data", Path: "/mnt"},
		{Target: "h:data", Path: "/mnt"},
		{Target: "h:/data,exec", Path: "/mnt"},
		{Target: "-o:/data", Path: "/mnt"},
		{Target: "h:/a/../b", Path: "/mnt"},
		{Target: "h:/data", Path: "mnt"},
		{Target: "h:/data", Path: "/"},
		{Target: "h:/data", Path: "/mnt/.."},
		{Target: "h:/data", Path: "/m\x00"},
	} {
		require.ErrorIs(t, volume.Check(), ErrBadVolume, "%+v", volume)
	}
}

// The program stands in for the agent's own, which would need an NFS server in the
// kernel; that the table is read right is shown with a real mount below.
func TestVolumes_MountOnceWithBoundedOptions(t *testing.T) {
	directory := t.TempDir()
	said := filepath.Join(directory, "said")
	program := filepath.Join(directory, "mount")
	require.NoError(t, os.WriteFile(program, []byte("#!/bin/sh\necho \"$@\" >>"+said+"\n"), 0o755))
	v := Volumes{program: program, table: filepath.Join(directory, "table")}
	require.NoError(t, os.WriteFile(v.table, nil, 0o644))
	volume := Volume{Target: "127.0.0.1:/data", Path: filepath.Join(directory, "a", "b")}
	require.NoError(t, v.Mount(t.Context(), volume))
	require.DirExists(t, volume.Path)
	line, err := os.ReadFile(said)
	require.NoError(t, err)
	require.Equal(t, "mount 127.0.0.1:/data "+volume.Path+" "+nfsOptions+",addr=127.0.0.1,mountaddr=127.0.0.1\n", string(line))

	require.NoError(t, os.WriteFile(v.table, []byte("36 35 98:0 / "+volume.Path+" rw shared:1 - nfs 127.0.0.1:/data rw\n"), 0o644))
	require.NoError(t, v.Mount(t.Context(), volume), "mounted already")
	again, err := os.ReadFile(said)
	require.NoError(t, err)
	require.Equal(t, line, again)
	require.ErrorContains(t, v.Mount(t.Context(), Volume{Target: "127.0.0.1:/other", Path: volume.Path}), "is mounted there")
}

func TestRunVolumeProgram_SyncsAndSaysWhatIsWrong(t *testing.T) {
	var said bytes.Buffer
	require.Zero(t, RunVolumeProgram([]string{"sync", t.TempDir()}, &said))
	require.Empty(t, said.String())
	require.Equal(t, 1, RunVolumeProgram([]string{"sync", "/no/such/place"}, &said))
	require.Contains(t, said.String(), "no such file")
	require.Equal(t, 1, RunVolumeProgram([]string{"unmount", "/"}, &said))
	require.Contains(t, said.String(), "usage")
}

func TestVolumes_SayWhyAMountFailed(t *testing.T) {
	err := Volumes{}.Mount(t.Context(), Volume{Target: "127.0.0.1:/no/such/export", Path: filepath.Join(t.TempDir(), "v")})
	require.ErrorContains(t, err, "mount ")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, Volumes{}.Mount(ctx, Volume{Target: "no-such-host.invalid:/x", Path: filepath.Join(t.TempDir(), "v")}))
}

func TestVolumes_FindWhatIsMounted(t *testing.T) {
	v := Volumes{table: "/proc/self/mountinfo"}
	source, err := v.mountedAt("/proc")
	require.NoError(t, err)
	require.Equal(t, "proc", source)
	source, err = v.mountedAt(t.TempDir())
	require.NoError(t, err)
	require.Empty(t, source)
}

// mountImage makes a small file system in a file and mounts it.
func mountImage(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	image, directory := filepath.Join(t.TempDir(), "image"), t.TempDir()
	require.NoError(t, os.WriteFile(image, nil, 0o600))
	require.NoError(t, os.Truncate(image, 8<<20))
	for _, command := range [][]string{{"mkfs.ext4", "-q", "-F", image}, {"mount", "-o", "loop", image, directory}} {
		output, err := exec.Command(command[0], command[1:]...).CombinedOutput()
		require.NoError(t, err, "%s: %s", command, output)
	}
	t.Cleanup(func() {
		_ = ThawFilesystem(directory) // a test that failed may have left it frozen
		require.NoError(t, unix.Unmount(directory, 0))
	})
	return directory
}

func TestFreezeFilesystem_HoldsWritesUntilTheThaw(t *testing.T) {
	directory := mountImage(t)
	require.NoError(t, FreezeFilesystem(directory))
	require.NoError(t, FreezeFilesystem(directory), "twice is once")
	written := make(chan error, 1)
	go func() { written <- os.WriteFile(filepath.Join(directory, "file"), []byte("x"), 0o600) }()
	select {
	case err := <-written:
		t.Fatalf("a frozen file system was written to: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	require.NoError(t, ThawFilesystem(directory))
	require.NoError(t, <-written)
	require.NoError(t, ThawFilesystem(directory), "twice is once")
}

func TestFreezeFilesystem_SaysWhatCannotBeFrozen(t *testing.T) {
	require.ErrorIs(t, FreezeFilesystem("/proc"), ErrCannotFreeze)
	require.ErrorIs(t, FreezeFilesystem("/no/such/place"), os.ErrNotExist)
}

func TestCollapse_GathersUsedMemory(t *testing.T) {
	memory, err := unix.Mmap(-1, 0, 16<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	require.NoError(t, err)
	defer func() { require.NoError(t, unix.Munmap(memory)) }()
	for i := 0; i < len(memory)/2; i += 4096 {
		memory[i] = 1
	}
	first, err := Collapse()
	require.NoError(t, err)
	require.Positive(t, first.Regions)
	require.Equal(t, first.Chunks, first.Collapsed+first.AlreadyHuge+first.Skipped)
	require.Positive(t, first.Skipped, "the half that is not in use")
	require.EqualValues(t, 1, memory[0])
	if release, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled"); err != nil || strings.Contains(string(release), "[never]") {
		t.Skip("this kernel makes no huge pages")
	}
	require.Positive(t, first.Collapsed)
	second, err := Collapse()
	require.NoError(t, err)
	require.GreaterOrEqual(t, second.AlreadyHuge, first.Collapsed)
}
