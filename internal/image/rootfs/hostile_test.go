package rootfs_test

import (
	"archive/tar"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/image/imagetest"
	"git.omukk.dev/wrenn/sandbox/internal/image/rootfs"
)

// noise is content that cannot be packed.
func noise(t *testing.T, size int) string {
	t.Helper()
	content := make([]byte, size)
	_, err := rand.Read(content)
	require.NoError(t, err)
	return string(content)
}

// refused wants no disk and a rule that the image breaks.
func refused(t *testing.T, options rootfs.Options, want string) {
	t.Helper()
	target := filepath.Join(t.TempDir(), "disk")
	err := rootfs.Write(t.Context(), target, options)
	var broken *rootfs.InvalidError
	require.ErrorAs(t, err, &broken)
	require.Contains(t, broken.Text, want)
	require.NoFileExists(t, target)
}

func TestWrite_ReadsLayersWithoutRights(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: gives up its rights")
	}
	plain := archive(t, regular("noise", noise(t, 64<<20)))
	of := options(stored(t, plain, plain))
	status, limits, networks := "", "", map[string]bool{}
	of.Progress = func(rootfs.Progress) {
		paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
		require.NoError(t, err)
		for _, path := range paths {
			if name, err := os.ReadFile(path); err != nil || string(name) != "wrenn-read-image\x00" {
				continue
			}
			process := filepath.Dir(path)
			if content, err := os.ReadFile(process + "/status"); err == nil && status == "" {
				status = string(content)
			}
			if content, err := os.ReadFile(process + "/limits"); err == nil && limits == "" {
				limits = string(content)
			}
			if network, err := os.Readlink(process + "/ns/net"); err == nil {
				networks[network] = true
			}
		}
	}
	write(t, of)
	user := fmt.Sprint(testUser)
	require.Regexp(t, `(?m)^Uid:\s+`+user+`\s+`+user+`\s+`+user+`\s+`+user+`$`, status)
	require.Regexp(t, `(?m)^Gid:\s+`+user, status)
	require.Regexp(t, `(?m)^Groups:\s*$`, status)
	require.Regexp(t, `(?m)^NoNewPrivs:\s+1$`, status)
	require.Regexp(t, `(?m)^CapPrm:\s+0+$`, status)
	require.Regexp(t, `(?m)^NSpid:\s+\d+\s+1$`, status)
	require.Regexp(t, `(?m)^Max file size\s+268435456\s+268435456`, limits)
	require.Regexp(t, `(?m)^Max data size\s+6442450944`, limits)
	require.Regexp(t, `(?m)^Max cpu time\s+1800`, limits)
	own, err := os.Readlink("/proc/self/ns/net")
	require.NoError(t, err)
	require.NotEmpty(t, networks)
	require.NotContains(t, networks, own)
}

func TestWrite_GivesTheDiskBackToItsCaller(t *testing.T) {
	disk := write(t, options(layer(t, archive(t, regular("file", "x")))))
	found := stat(t, disk)
	require.EqualValues(t, os.Geteuid(), found.Uid)
	require.EqualValues(t, unix.S_IFREG|0o600, found.Mode)
}

// sparse is a layer with a file of holes.
func sparse(t *testing.T, name string, size int64) rootfs.Layer {
	t.Helper()
	content := imagetest.SparseArchive(name, size)
	return stored(t, content, content)
}

func TestWrite_KeepsLargeSparseFilesSparse(t *testing.T) {
	disk := write(t, options(sparse(t, "sparse", 3<<30)))
	require.Contains(t, debugfs(t, disk, "stat /sparse"), "Size: 3221225472")
	require.Less(t, stat(t, disk).Blocks*512, int64(80<<20))
}

func TestWrite_RefusesATerabyteOfHoles(t *testing.T) {
	refused(t, options(sparse(t, "huge", 1<<40)), `the file "huge" is larger than 64 GiB, which is the limit`)
}

func TestWrite_EndsWhatTakesTooLong(t *testing.T) {
	of := options(sparse(t, "holes", 60<<30))
	of.Limits.CPUSeconds = 1
	refused(t, of, "takes more than 1 seconds of processor time, which is the limit")
}

func TestWrite_EndsWhatTakesTooMuchMemory(t *testing.T) {
	var files []file
	for i := range 60000 {
		files = append(files, link(tar.TypeSymlink, fmt.Sprintf("%d", i), strings.Repeat("t", 4000)))
	}
	of := options(layer(t, archive(t, files...)))
	of.Limits.MemoryBytes = 256 << 20
	refused(t, of, "takes more than 256 MiB of memory, which is the limit")
}

func TestWrite_RefusesTooManyFiles(t *testing.T) {
	var files []file
	for i := range 1001 {
		files = append(files, regular(fmt.Sprint(i), ""))
	}
	of := options(layer(t, archive(t, files...)))
	of.Limits.Tree.Entries = 1000
	refused(t, of, "more than 1000 files, which is the limit")
}

func TestWrite_RefusesALayerThatIsCutOff(t *testing.T) {
	whole := layer(t, archive(t, regular("file", noise(t, 100000))))
	require.NoError(t, whole.File.Truncate(50000))
	refused(t, options(whole), "damaged or was cut off")
}

func TestWrite_SaysThatTheHostIsFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts a small file system")
	}
	full := t.TempDir()
	require.NoError(t, unix.Mount("tmpfs", full, "tmpfs", 0, "size=20m"))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(full, 0)) })
	err := rootfs.Write(t.Context(), filepath.Join(full, "disk"), options(layer(t, archive(t, regular("file", noise(t, 40<<20))))))
	require.ErrorIs(t, err, rootfs.ErrHostFull)
	entries, err := os.ReadDir(full)
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestWrite_SaysThatTheDiskIsFull(t *testing.T) {
	plain := archive(t, regular("file", noise(t, 300<<20)))
	of := options(stored(t, plain, plain))
	require.ErrorIs(t, rootfs.Write(t.Context(), filepath.Join(t.TempDir(), "disk"), of), rootfs.ErrDiskFull)
}

func TestWrite_UsesTheRoomOfFilesThatLaterLayersRemove(t *testing.T) {
	var all []rootfs.Layer
	for i := range 5 {
		all = append(all, layer(t, archive(t, regular(fmt.Sprintf("large-%d", i), noise(t, 60<<20)))),
			layer(t, archive(t, regular(fmt.Sprintf(".wh.large-%d", i), ""))))
	}
	disk := write(t, options(all...))
	require.Less(t, stat(t, disk).Blocks*512, int64(30<<20), "what is free is holes")
}

func TestWrite_EndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	of := options(sparse(t, "holes", 60<<30))
	of.Progress = func(rootfs.Progress) { cancel() }
	target := filepath.Join(t.TempDir(), "disk")
	require.ErrorIs(t, rootfs.Write(ctx, target, of), context.Canceled)
	require.NoFileExists(t, target)
}

func TestWrite_DoesNotReplaceAFile(t *testing.T) {
	target := filepath.Join(t.TempDir(), "disk")
	require.NoError(t, os.WriteFile(target, []byte("kept"), 0o600))
	require.ErrorIs(t, rootfs.Write(t.Context(), target, options()), os.ErrExist)
	kept, err := os.ReadFile(target)
	require.NoError(t, err)
	require.Equal(t, "kept", string(kept))
}

func TestWrite_TakesAnythingThatIsCalledLostAndFound(t *testing.T) {
	for _, one := range []file{
		regular("lost+found", "a file"), link(tar.TypeSymlink, "lost+found", "nowhere"), directory("lost+found"), regular("lost+found/kept", "x"),
	} {
		write(t, options(layer(t, archive(t, one))))
	}
}

func erofs(of rootfs.Options) rootfs.Options {
	of.Format = rootfs.EROFS
	return of
}

// checkImage writes an EROFS image and has fsck.erofs read all of it.
func checkImage(t *testing.T, of rootfs.Options) string {
	t.Helper()
	target := filepath.Join(t.TempDir(), "image")
	require.NoError(t, rootfs.Write(t.Context(), target, of))
	output, err := exec.Command("fsck.erofs", "--extract", target).CombinedOutput()
	require.NoError(t, err, string(output))
	return target
}

func TestWrite_MakesAnEROFSImageAsLargeAsItsFiles(t *testing.T) {
	of := erofs(options(layer(t, archive(t, regular("file", noise(t, 1<<20))))))
	image := checkImage(t, of)
	found := stat(t, image)
	require.InDelta(t, 1<<20, found.Size, 100<<10)
	require.EqualValues(t, os.Geteuid(), found.Uid)
}

func TestWrite_RefusesForAnEROFSImageWhatItRefusesForADisk(t *testing.T) {
	refused(t, erofs(options(sparse(t, "huge", 1<<40))), `the file "huge" is larger than 64 GiB, which is the limit`)
	plain := archive(t, regular("file", noise(t, 300<<20)))
	require.ErrorIs(t, rootfs.Write(t.Context(), filepath.Join(t.TempDir(), "disk"), erofs(options(stored(t, plain, plain)))), rootfs.ErrDiskFull)
	large := rootfs.DefaultLimits.Layers.FileBytes
	require.Less(t, stat(t, checkSparse(t, large)).Blocks*512, int64(1<<20), "larger than the disk with its holes, and no larger without")
}

func checkSparse(t *testing.T, size int64) string {
	t.Helper()
	target := filepath.Join(t.TempDir(), "image")
	require.NoError(t, rootfs.Write(t.Context(), target, erofs(options(sparse(t, "holes", size)))))
	output, err := exec.Command("fsck.erofs", target).CombinedOutput()
	require.NoError(t, err, string(output))
	return target
}

// TestWrite_MakesSoundFileSystemsOfWhateverComes lays random layers over each other, of few
// names so that they meet.
func TestWrite_MakesSoundFileSystemsOfWhateverComes(t *testing.T) {
	made := 0
	for seed := range uint64(12) {
		random := mathrand.New(mathrand.NewPCG(seed, 1))
		var all []rootfs.Layer
		for range 1 + random.IntN(4) {
			var files []file
			for range random.IntN(150) {
				files = append(files, anyFile(random))
			}
			all = append(all, layer(t, archive(t, files...)))
		}
		target := filepath.Join(t.TempDir(), "disk")
		err := rootfs.Write(t.Context(), target, options(all...))
		var broken *rootfs.InvalidError
		if errors.As(err, &broken) {
			continue // for example a file below a file
		}
		require.NoError(t, err, "seed %d", seed)
		output, err := exec.Command("e2fsck", "-fn", target).CombinedOutput()
		require.NoError(t, err, "seed %d: %s", seed, output)
		checkImage(t, erofs(options(all...)))
		made++
	}
	require.Greater(t, made, 3, "most layers can be used")
}

func anyFile(random *mathrand.Rand) file {
	name := func() string {
		parts := []string{"d1", "d2", "d1/d2", "d2/d1/d2"}
		return parts[random.IntN(len(parts))] + "/" + fmt.Sprintf("f%d", random.IntN(12))
	}
	switch random.IntN(12) {
	case 0:
		return directory(strings.Replace(name(), "/f", "/d", 1))
	case 1:
		return link(tar.TypeSymlink, name(), strings.Repeat("t", 1+random.IntN(200)))
	case 2:
		return file{tar.Header{Typeflag: tar.TypeFifo, Name: name(), Mode: 0o600}, ""}
	case 3:
		at := name()
		return regular(filepath.Dir(at)+"/.wh."+filepath.Base(at), "")
	case 4:
		return regular(filepath.Dir(name())+"/.wh..wh..opq", "")
	case 5:
		return file{tar.Header{
			Typeflag: tar.TypeReg, Name: name(), Mode: 0o644,
			PAXRecords: map[string]string{"SCHILY.xattr.user.a": strings.Repeat("v", 1+random.IntN(2000)), "SCHILY.xattr.user.b": "w"},
		}, ""}
	default:
		content := make([]byte, random.IntN(3)*random.IntN(200000))
		for i := range content {
			if i/70000%2 == 0 {
				content[i] = byte(i)
			}
		}
		return regular(name(), string(content))
	}
}
