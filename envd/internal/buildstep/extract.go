package buildstep

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"path/filepath"
)

// Beginnings of files that ADD unpacks, or would if this program could.
var (
	gzipMagic  = []byte{0x1f, 0x8b}
	bzip2Magic = []byte("BZh")
	xzMagic    = []byte{0xfd, '7', 'z', 'X', 'Z', 0}
	zstdMagic  = []byte{0x28, 0xb5, 0x2f, 0xfd}
	tarMagic   = []byte("ustar")
)

// tarMagicOffset is where tarMagic is. Source: tar(5).
const tarMagicOffset = 257

// extractOrWrite unpacks a file of an archive that is an archive itself, into the
// destination, and copies any other.
func (u *unpacker) extractOrWrite(content io.Reader, header *tar.Header, place string) error {
	buffered := bufio.NewReaderSize(content, 1<<16)
	start, _ := buffered.Peek(tarMagicOffset + len(tarMagic)) // a short file has less
	inner := io.Reader(buffered)
	switch {
	case bytes.HasPrefix(start, gzipMagic):
		unzipped, err := gzip.NewReader(buffered)
		if err != nil {
			return u.writeFile(place, buffered, header.FileInfo().Mode(), header)
		}
		inner = unzipped
	case bytes.HasPrefix(start, bzip2Magic):
		inner = bzip2.NewReader(buffered)
	case bytes.HasPrefix(start, xzMagic), bytes.HasPrefix(start, zstdMagic):
		return fmt.Errorf("%s: archives with xz and zstd are not unpacked by ADD: copy it and unpack it with RUN tar", header.Name)
	case !isTar(start):
		return u.writeFile(place, buffered, header.FileInfo().Mode(), header)
	}
	unpacked := bufio.NewReaderSize(inner, 1<<16)
	start, _ = unpacked.Peek(tarMagicOffset + len(tarMagic))
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

func isTar(start []byte) bool {
	return len(start) >= tarMagicOffset+len(tarMagic) && bytes.Equal(start[tarMagicOffset:tarMagicOffset+len(tarMagic)], tarMagic)
}
