package firecracker

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/stretchr/testify/require"
)

// bootable packs a kernel the way distributions do.
func bootable(payload []byte) []byte {
	const setupSectors, payloadOffset = 4, 128
	payload = binary.LittleEndian.AppendUint32(bytes.Clone(payload), 0) // its size; not looked at
	image := make([]byte, (setupSectors+1)*sectorBytes+payloadOffset, (setupSectors+1)*sectorBytes+payloadOffset+len(payload))
	image[setupSectorsOffset] = setupSectors
	copy(image[headerMagicOffset:], "HdrS")
	binary.LittleEndian.PutUint16(image[protocolOffset:], payloadProtocol)
	binary.LittleEndian.PutUint32(image[payloadOffsetOffset:], payloadOffset)
	binary.LittleEndian.PutUint32(image[payloadLengthOffset:], uint32(len(payload)))
	return append(image, payload...)
}

func compress(t *testing.T, content []byte, open func(io.Writer) io.WriteCloser) []byte {
	t.Helper()
	var packed bytes.Buffer
	writer := open(&packed)
	_, err := writer.Write(content)
	require.NoError(t, err)
	require.NoError(t, writer.Close())
	return packed.Bytes()
}

func extract(t *testing.T, image []byte) ([]byte, error) {
	t.Helper()
	source, target := filepath.Join(t.TempDir(), "packed"), filepath.Join(t.TempDir(), "unpacked")
	require.NoError(t, os.WriteFile(source, image, 0o600))
	if err := extractKernel(source, target); err != nil {
		return nil, err
	}
	return os.ReadFile(target)
}

func TestExtractKernel_UnpacksWhatDistributionsPack(t *testing.T) {
	t.Parallel()
	kernel := append(bytes.Clone(elfMagic), bytes.Repeat([]byte("kernel"), 100_000)...)
	for name, image := range map[string][]byte{
		"plain":  kernel,
		"stored": bootable(kernel),
		"gzip":   bootable(compress(t, kernel, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })),
		"zstd": bootable(compress(t, kernel, func(w io.Writer) io.WriteCloser {
			writer, err := zstd.NewWriter(w)
			require.NoError(t, err)
			return writer
		})),
		"lz4": bootable(compress(t, kernel, func(w io.Writer) io.WriteCloser {
			writer := lz4.NewWriter(w)
			require.NoError(t, writer.Apply(lz4.LegacyOption(true)))
			return writer
		})),
	} {
		unpacked, err := extract(t, image)
		require.NoError(t, err, name)
		require.True(t, bytes.Equal(kernel, unpacked), name)
	}
}

func TestExtractKernel_RefusesWhatIsNoKernel(t *testing.T) {
	t.Parallel()
	kernel := append(bytes.Clone(elfMagic), 1, 2, 3)
	whole := bootable(compress(t, kernel, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }))
	old := bytes.Clone(whole)
	binary.LittleEndian.PutUint16(old[protocolOffset:], payloadProtocol-1)
	for name, image := range map[string][]byte{
		"nothing":          nil,
		"text":             bytes.Repeat([]byte("text "), 1000),
		"cut short":        whole[:len(whole)-8],
		"old protocol":     old,
		"unknown packing":  bootable([]byte("\xfd7zXZ\x00 and so on")),
		"broken packing":   bootable([]byte("\x1f\x8bbroken")),
		"what is no image": bootable(compress(t, []byte("no image at all"), func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })),
	} {
		_, err := extract(t, image)
		require.Error(t, err, name)
	}
}

func FuzzOpenKernel(f *testing.F) {
	f.Add(bootable(append(bytes.Clone(elfMagic), 1)))
	f.Add([]byte("\x7fELF"))
	f.Fuzz(func(t *testing.T, content []byte) {
		image, err := openKernel(content)
		if err != nil {
			return
		}
		written, _ := io.Copy(io.Discard, io.LimitReader(image, 1<<20)) // broken packing is an error, not a panic
		require.LessOrEqual(t, written, int64(1<<20))
	})
}
