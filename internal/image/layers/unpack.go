package layers

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// How packed layers begin.
// Source: RFC 1952, section 2.3.1; RFC 8878, sections 3.1.1 and 3.1.2; the magic numbers of
// bzip2 and xz, which images must not use.
var (
	gzipMagic      = []byte{0x1f, 0x8b}
	zstdMagic      = []byte{0x28, 0xb5, 0x2f, 0xfd}
	skippableMagic = []byte{0x2a, 0x4d, 0x18} // after a byte from 0x50 to 0x5f
	bzip2Magic     = []byte("BZh")
	xzMagic        = []byte("\xfd7zXZ\x00")
)

// zstdWindow is the most memory that unpacking may need for what was read before, in
// bytes: that of zstd --ultra -22.
const zstdWindow = 128 << 20

// unpack tells how a layer is packed by its first bytes: the media type may be wrong.
func unpack(content io.Reader) (io.ReadCloser, error) {
	const bufferBytes = 1 << 18
	buffered := bufio.NewReaderSize(content, bufferBytes)
	start, err := buffered.Peek(len(xzMagic))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(start, gzipMagic):
		reader, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, refuse("a layer is damaged or was cut off: it cannot be unpacked")
		}
		return reader, nil
	case bytes.HasPrefix(start, zstdMagic), len(start) > 3 && start[0]&0xf0 == 0x50 && bytes.HasPrefix(start[1:], skippableMagic):
		reader, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow))
		if err != nil {
			return nil, refuse("a layer is damaged or was cut off: it cannot be unpacked")
		}
		return reader.IOReadCloser(), nil
	case bytes.HasPrefix(start, bzip2Magic), bytes.HasPrefix(start, xzMagic):
		return nil, refuse("a layer is packed by bzip2 or xz; images have gzip, zstd or plain layers")
	default:
		return io.NopCloser(buffered), nil
	}
}
