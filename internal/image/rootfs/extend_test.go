package rootfs_test

import (
	"archive/tar"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/image/imagetest"
	"git.omukk.dev/wrenn/sandbox/internal/image/rootfs"
)

// opened is a layer in a file.
func opened(t *testing.T, kind rootfs.LayerKind, path string) rootfs.Layer {
	t.Helper()
	content, err := os.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { content.Close() })
	return rootfs.Layer{Kind: kind, File: content}
}

func overlay(t *testing.T, files ...file) rootfs.Layer {
	t.Helper()
	upper := stored(t, archive(t, files...), nil)
	upper.Kind, upper.DiffID = rootfs.Overlay, ""
	return upper
}

func mountImage(t *testing.T, image string) string {
	t.Helper()
	return imagetest.Mount(t, "erofs", image, "ro")
}

func TestWrite_LaysASavedLayerOverAnImage(t *testing.T) {
	image := checkImage(t, erofs(options(layer(t, archive(t, regular("kept", "one"), regular("gone", noise(t, 1<<20)), regular("gone too", "x"), regular("d/old", ""))))))
	of := erofs(options(overlay(t, directory("./"), regular("./kept", "two"), file{tar.Header{Typeflag: tar.TypeChar, Name: "./gone"}, ""},
		file{tar.Header{Typeflag: tar.TypeLink, Name: "./gone too", Linkname: "./gone"}, ""},
		file{tar.Header{Typeflag: tar.TypeDir, Name: "./d/", Mode: 0o700, PAXRecords: map[string]string{"SCHILY.xattr.trusted.overlay.opaque": "y"}}, ""},
		regular("./d/.wh.new", "a file's own name"))))
	of.Base = image
	before, err := os.ReadFile(image)
	require.NoError(t, err)
	at := mountImage(t, checkImage(t, of))
	require.NoFileExists(t, at+"/gone")
	require.NoFileExists(t, at+"/gone too", "gVisor has several whiteouts as one inode")
	require.NoFileExists(t, at+"/d/old")
	require.FileExists(t, at+"/d/.wh.new")
	kept, err := os.ReadFile(at + "/kept")
	require.NoError(t, err)
	require.Equal(t, "two", string(kept))
	after, err := os.ReadFile(image)
	require.NoError(t, err)
	require.Equal(t, before, after, "the image below is as it was")
}

func TestWrite_RefusesALayerThatLeadsOut(t *testing.T) {
	image := checkImage(t, erofs(options(layer(t, archive(t, regular("file", "x"))))))
	of := erofs(options(overlay(t, regular("./../../etc/passwd", "x"))))
	of.Base = image
	refused(t, of, "leads out of its directory")
}

func TestWrite_RefusesABaseThatIsNoImage(t *testing.T) {
	base := filepath.Join(t.TempDir(), "base")
	require.NoError(t, os.WriteFile(base, make([]byte, 1<<20), 0o600))
	of := erofs(options())
	of.Base = base
	target := filepath.Join(t.TempDir(), "image")
	require.ErrorContains(t, rootfs.Write(t.Context(), target, of), "not an EROFS image")
	require.NoFileExists(t, target)
}

func TestWrite_MakesADiskOfAnImage(t *testing.T) {
	image := checkImage(t, erofs(options(layer(t, archive(t, directory("etc"), regular("etc/hosts", "one"),
		file{tar.Header{Typeflag: tar.TypeLink, Name: "twin", Linkname: "etc/hosts"}, ""}, regular("large", noise(t, 1<<20)),
		file{tar.Header{Typeflag: tar.TypeSymlink, Name: "lib", Linkname: "usr/lib"}, ""})))))
	at := mount(t, write(t, options(opened(t, rootfs.Image, image))))
	want := mountImage(t, image)
	output, err := exec.Command("diff", "-r", "--no-dereference", "--exclude=lost+found", at, want).CombinedOutput()
	require.NoError(t, err, string(output))
	require.EqualValues(t, 2, stat(t, at+"/twin").Nlink)
}
