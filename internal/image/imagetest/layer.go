// Package imagetest composes container images for tests and serves them on loopback.
//
// Images of distributions are made of Debian packages, which Prepare fetches before the
// tests: no registry of images is needed.
package imagetest

import (
	"archive/tar"
	"bytes"
	"io"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

// Entry is a file of a layer.
type Entry struct {
	tar.Header
	Content []byte
}

// File is a regular file. Permissions are as of chmod.
func File(name string, permissions int64, content string) Entry {
	return Entry{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: permissions}, []byte(content)}
}

// Directory is a directory that anybody may read.
func Directory(name string) Entry {
	return Entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755}}
}

// Symlink is a symbolic link.
func Symlink(name, target string) Entry {
	return Entry{Header: tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}}
}

// Link is another name of a file.
func Link(name, target string) Entry {
	return Entry{Header: tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target}}
}

// Owned gives entries to a user and group.
func Owned(uid, gid int, entries ...Entry) []Entry {
	for i := range entries {
		entries[i].Uid, entries[i].Gid = uid, gid
	}
	return entries
}

// Time is that of all files: layers of the same files have the same digest.
var Time = time.Unix(1735689600, 0)

// Archive is a tar archive of entries.
func Archive(t testing.TB, entries ...Entry) []byte {
	t.Helper()
	var packed bytes.Buffer
	writer := tar.NewWriter(&packed)
	for _, one := range entries {
		if one.ModTime.IsZero() {
			one.ModTime = Time
		}
		one.Size = int64(len(one.Content))
		require.NoError(t, writer.WriteHeader(&one.Header), one.Name)
		_, err := writer.Write(one.Content)
		require.NoError(t, err, one.Name)
	}
	require.NoError(t, writer.Close())
	return packed.Bytes()
}

// Packing is how a layer is packed.
type Packing types.MediaType

// The packings of layers.
const (
	Gzip  Packing = Packing(types.OCILayer)
	Zstd  Packing = Packing(types.OCILayerZStd)
	Plain Packing = Packing(types.OCIUncompressedLayer)
)

// Pack packs an archive.
func Pack(t testing.TB, packing Packing, archive []byte) []byte {
	t.Helper()
	var packed bytes.Buffer
	var writer io.WriteCloser
	switch packing {
	case Gzip:
		writer = gzip.NewWriter(&packed)
	case Zstd:
		compressor, err := zstd.NewWriter(&packed)
		require.NoError(t, err)
		writer = compressor
	default:
		return archive
	}
	_, err := writer.Write(archive)
	require.NoError(t, err)
	require.NoError(t, writer.Close())
	return packed.Bytes()
}

// layer is a layer in memory.
type layer struct {
	v1.Layer // as packed
	diffID   v1.Hash
}

func (l layer) DiffID() (v1.Hash, error) { return l.diffID, nil }

// Layer is a layer of an archive.
func Layer(t testing.TB, packing Packing, archive []byte) v1.Layer {
	t.Helper()
	diffID, _, err := v1.SHA256(bytes.NewReader(archive))
	require.NoError(t, err)
	return layer{static.NewLayer(Pack(t, packing, archive), types.MediaType(packing)), diffID}
}

var usualPlatform = v1.Platform{OS: "linux", Architecture: "amd64"}

// Image is an image for linux/amd64.
func Image(t testing.TB, config v1.Config, layers ...v1.Layer) v1.Image {
	t.Helper()
	return ImageFor(t, usualPlatform, config, layers...)
}

// ImageFor is an image for a platform.
func ImageFor(t testing.TB, platform v1.Platform, config v1.Config, layers ...v1.Layer) v1.Image {
	t.Helper()
	image, err := imageFor(platform, config, layers...)
	require.NoError(t, err)
	return image
}

func imageFor(platform v1.Platform, config v1.Config, layers ...v1.Layer) (v1.Image, error) {
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, one := range layers {
		kind, err := one.MediaType()
		if err != nil {
			return nil, err
		}
		if image, err = mutate.Append(image, mutate.Addendum{Layer: one, MediaType: kind}); err != nil {
			return nil, err
		}
	}
	described, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	described = described.DeepCopy()
	described.OS, described.Architecture, described.Variant, described.Config = platform.OS, platform.Architecture, platform.Variant, config
	described.Created = v1.Time{Time: Time}
	return mutate.ConfigFile(image, described)
}

// Index is a multi-platform index of images.
func Index(t testing.TB, images map[string]v1.Image) v1.ImageIndex {
	t.Helper()
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for platform, image := range images {
		parsed, err := v1.ParsePlatform(platform)
		require.NoError(t, err)
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: parsed}})
	}
	return index
}
