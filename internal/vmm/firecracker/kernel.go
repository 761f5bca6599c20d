package firecracker

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// maxKernelBytes bounds what a compressed kernel may unpack to.
const maxKernelBytes = 256 << 20

// extractKernel writes the ELF image that Firecracker boots. Distributions compress it
// into a bzImage, which unpacks itself only with a BIOS or EFI. An ELF kernel is copied.
func extractKernel(path, target string) (err error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read kernel: %w", err)
	}
	image, err := openKernel(content)
	if err != nil {
		return fmt.Errorf("unpack kernel %s: %w", path, err)
	}
	file, err := os.OpenFile(target, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("unpack kernel: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	start := make([]byte, len(elfMagic))
	if _, err := io.ReadFull(image, start); err != nil || !bytes.Equal(start, elfMagic) {
		return fmt.Errorf("unpack kernel %s: its content is not an ELF image", path)
	}
	written, err := io.Copy(file, io.LimitReader(io.MultiReader(bytes.NewReader(start), image), maxKernelBytes+1))
	if err != nil {
		return fmt.Errorf("unpack kernel %s: %w", path, err)
	}
	if written > maxKernelBytes {
		return fmt.Errorf("unpack kernel %s: it is larger than %d bytes", path, maxKernelBytes)
	}
	return nil
}

var elfMagic = []byte("\x7fELF")

// Offsets in the header of a bzImage.
// Source: Documentation/arch/x86/boot.rst in Linux.
const (
	setupSectorsOffset  = 0x1f1
	headerMagicOffset   = 0x202
	protocolOffset      = 0x206
	payloadOffsetOffset = 0x248
	payloadLengthOffset = 0x24c
	headerEnd           = 0x250
	sectorBytes         = 512
	payloadProtocol     = 0x0208 // the first with the offset of the payload
	// sizeBytes follow the compressed kernel: the size it unpacks to.
	sizeBytes = 4
)

// openKernel returns the ELF image in a kernel.
func openKernel(content []byte) (io.Reader, error) {
	if bytes.HasPrefix(content, elfMagic) {
		return bytes.NewReader(content), nil
	}
	if len(content) < headerEnd || string(content[headerMagicOffset:headerMagicOffset+4]) != "HdrS" {
		return nil, errors.New("it is neither an ELF image nor a bzImage")
	}
	if protocol := binary.LittleEndian.Uint16(content[protocolOffset:]); protocol < payloadProtocol {
		return nil, fmt.Errorf("its boot protocol %#x is too old", protocol)
	}
	start := (int64(content[setupSectorsOffset])+1)*sectorBytes + int64(binary.LittleEndian.Uint32(content[payloadOffsetOffset:]))
	length := int64(binary.LittleEndian.Uint32(content[payloadLengthOffset:]))
	if length <= sizeBytes || start+length > int64(len(content)) {
		return nil, errors.New("it is cut short")
	}
	return decompress(content[start : start+length-sizeBytes])
}

// decompress reads the formats in which distributions compress kernels.
func decompress(payload []byte) (io.Reader, error) {
	reader := bytes.NewReader(payload)
	for _, known := range []struct {
		magic string
		open  func() (io.Reader, error)
	}{
		{"\x7fELF", func() (io.Reader, error) { return reader, nil }},
		{"\x1f\x8b", func() (io.Reader, error) { return gzip.NewReader(reader) }},
		{"\x28\xb5\x2f\xfd", func() (io.Reader, error) {
			return zstd.NewReader(reader, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxKernelBytes))
		}},
		{"\x02\x21\x4c\x18", func() (io.Reader, error) { return lz4.NewReader(reader), nil }},
	} {
		if bytes.HasPrefix(payload, []byte(known.magic)) {
			return known.open()
		}
	}
	return nil, fmt.Errorf("its compression is unknown: it begins with % x", payload[:min(4, len(payload))])
}
