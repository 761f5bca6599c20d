package buildstep

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// Beginnings of files that ADD unpacks.
var (
	gzipMagic  = []byte{0x1f, 0x8b}
	bzip2Magic = []byte("BZh")
	xzMagic    = []byte{0xfd, '7', 'z', 'X', 'Z', 0}
	zstdMagic  = []byte{0x28, 0xb5, 0x2f, 0xfd}
	tarMagic   = []byte("ustar")
)

// maxWindow is the most memory that a zstd archive may ask for: what "zstd --ultra --long=27"
// makes, and the zstd program unpacks without a flag. An xz archive has its dictionary
// in pages that are used as the content comes.
const maxWindow = 128 << 20

// peekBytes is more than the header of any compression has.
const peekBytes = 1 << 16

// tarMagicOffset is where tarMagic is. Source: tar(5).
const tarMagicOffset = 257

// extractOrWrite unpacks a file of an archive that is an archive itself, into the
// destination, and copies any other.
func (u *unpacker) extractOrWrite(content io.Reader, header *tar.Header, place string) error {
	buffered := bufio.NewReaderSize(content, peekBytes)
	start, _ := buffered.Peek(peekBytes) // a short file has less
	_, tried, err := decompress(bytes.NewReader(start), start)
	tried()
	plain := !isCompressed(start) && !isTar(start)
	if err != nil || plain { // what begins as an archive may be none
		return u.writeFile(place, buffered, header.FileInfo().Mode(), header)
	}
	inner, done, err := decompress(buffered, start)
	if err != nil {
		return fmt.Errorf("%s cannot be unpacked: %w", header.Name, err)
	}
	defer done()
	unpacked := bufio.NewReaderSize(inner, peekBytes)
	start, err = unpacked.Peek(tarMagicOffset + len(tarMagic))
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s cannot be unpacked: %w", header.Name, err)
	}
	if !isTar(start) {
		return fmt.Errorf("%s is compressed, but no tar archive: copy it with COPY and unpack it with RUN", header.Name)
	}
	all, _ := newSource(".")
	below := &unpacker{
		target:  &target{destination: filepath.Clean(u.destination) + "/", owner: u.owner, mode: u.mode},
		sources: []source{all}, links: make(map[string]string), roots: make(map[string]bool),
	}
	return below.unpack(context.Background(), tar.NewReader(unpacked))
}

// decompress returns what a stream has without its compression; start is its beginning. done
// lets go of it.
func decompress(stream io.Reader, start []byte) (content io.Reader, done func(), err error) {
	content, done = stream, func() {}
	switch {
	case bytes.HasPrefix(start, gzipMagic):
		content, err = gzip.NewReader(stream)
	case bytes.HasPrefix(start, bzip2Magic):
		content = bzip2.NewReader(stream)
	case bytes.HasPrefix(start, xzMagic):
		content, err = xz.NewReader(stream)
	case bytes.HasPrefix(start, zstdMagic):
		var decoder *zstd.Decoder
		if decoder, err = zstd.NewReader(stream, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow)); err == nil {
			content, done = decoder, decoder.Close
		}
	}
	return content, done, err
}

func isCompressed(start []byte) bool {
	return slices.ContainsFunc([][]byte{gzipMagic, bzip2Magic, xzMagic, zstdMagic}, func(magic []byte) bool { return bytes.HasPrefix(start, magic) })
}

func isTar(start []byte) bool {
	return len(start) >= tarMagicOffset+len(tarMagic) && bytes.Equal(start[tarMagicOffset:tarMagicOffset+len(tarMagic)], tarMagic)
}
