// Package layers reads the layers of an image into a tree of files.
//
// All that it reads is hostile: it keeps to Limits whatever a layer says of itself.
package layers

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"git.omukk.dev/wrenn/sandbox/internal/image/filetree"
)

// Limits bound what layers may hold.
type Limits struct {
	// StreamBytes is how much all layers together may be, unpacked, and how large their files
	// together.
	StreamBytes int64
	// FileBytes is the largest file, holes included.
	FileBytes int64
	// Ratio is how many times its packed size a layer may be, unpacked, beyond RatioFrom
	// bytes.
	Ratio, RatioFrom int64
}

// Layer is one layer to read.
type Layer struct {
	// Content is the layer as the registry has it: a tar archive, packed by gzip or zstd or
	// not at all.
	Content io.Reader
	// Size is the content's, in bytes.
	Size int64
	// DiffID is the SHA-256 of the archive, in hexadecimal; empty for one that nobody has
	// named by it.
	DiffID string
	// Overlay says that the archive is of an overlay file system's upper directory, as gVisor
	// saves it, with its whiteouts and its marks of opaque directories.
	Overlay bool
}

// Disk takes the contents of files.
type Disk interface {
	// Write stores a file's content of size bytes. An error of reading is returned as it is.
	Write(content io.Reader, size int64) ([]filetree.Extent, error)
	// Free is told of contents that are not in the tree after all.
	Free([]filetree.Extent)
}

// Reader reads layers into a tree, the lowest first.
type Reader struct {
	tree    *filetree.Tree
	disk    Disk
	limits  Limits
	read    int64 // of all archives
	content int64 // sizes of all files
}

// NewReader returns a reader into a tree and a disk.
func NewReader(tree *filetree.Tree, disk Disk, limits Limits) *Reader {
	return &Reader{tree: tree, disk: disk, limits: limits}
}

// Error is a rule that a layer breaks. Its text is for the image's owner.
type Error struct{ text string }

func (e *Error) Error() string { return e.text }

func refuse(format string, arguments ...any) error {
	return &Error{text: fmt.Sprintf(format, arguments...)}
}

// Read adds the next layer. It returns an *Error or a *filetree.Error for a layer that
// breaks a rule, and errors of the disk as they are.
func (r *Reader) Read(ctx context.Context, layer Layer) error {
	r.tree.BeginLayer()
	packed := &source{content: layer.Content}
	unpacked, err := unpack(packed)
	if packed.failed != nil {
		return packed.failed
	}
	if err != nil {
		return err
	}
	defer unpacked.Close()
	sum := sha256.New()
	archive := &bounded{ended: ctx.Err, packed: packed, unpacked: unpacked, sum: sum, reader: r, most: r.limits.RatioFrom + layer.Size*r.limits.Ratio}
	add := r.add
	if layer.Overlay {
		add = overlay{r, make(map[string]bool)}.add
	}
	if err := readArchive(archive, add); err != nil {
		return archive.explain(err)
	}
	// What follows the archive's end counts in its sum.
	if _, err := io.Copy(io.Discard, archive); err != nil {
		return archive.explain(err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); layer.DiffID != "" && got != layer.DiffID {
		return refuse("a layer's content is not what the image's configuration says: its sum is sha256:%s, not sha256:%s", got, layer.DiffID)
	}
	return nil
}

func readArchive(archive *bounded, add func(*tar.Header, io.Reader) error) error {
	const bufferBytes = 1 << 18
	reader := tar.NewReader(bufio.NewReaderSize(archive, bufferBytes))
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := add(header, reader); err != nil {
			return err
		}
	}
}

// source keeps why a packed layer could not be read, which is not the layer's fault.
type source struct {
	content io.Reader
	failed  error
}

func (s *source) Read(buffer []byte) (int, error) {
	n, err := s.content.Read(buffer)
	if err != nil && !errors.Is(err, io.EOF) {
		s.failed = err
	}
	return n, err
}

// bounded is an unpacked layer that ends with an error at its limits.
type bounded struct {
	ended    func() error // says whether reading was cancelled
	packed   *source
	unpacked io.Reader
	sum      hash.Hash
	reader   *Reader
	read     int64
	most     int64
	failed   error // why reading ended, if not by the end
}

func (b *bounded) Read(buffer []byte) (int, error) {
	if b.failed != nil {
		return 0, b.failed
	}
	n, err := b.unpacked.Read(buffer)
	b.sum.Write(buffer[:n])
	b.read += int64(n)
	b.reader.read += int64(n)
	switch {
	case b.ended() != nil:
		b.failed = b.ended()
	case b.packed.failed != nil:
		b.failed = b.packed.failed
	case b.reader.read > b.reader.limits.StreamBytes:
		b.failed = refuse("the image is larger than %s unpacked, which is the limit", Bytes(b.reader.limits.StreamBytes))
	case b.read > b.most:
		b.failed = refuse("a layer is more than %d times as large unpacked as packed, which is the limit", b.reader.limits.Ratio)
	case err != nil && !errors.Is(err, io.EOF):
		b.failed = refuse("a layer is damaged or was cut off: it cannot be unpacked")
	}
	if b.failed != nil {
		return 0, b.failed
	}
	return n, err
}

// explain says what is wrong with a layer whose archive could not be read.
func (b *bounded) explain(err error) error {
	switch {
	case b.failed != nil:
		return b.failed
	case errors.Is(err, tar.ErrHeader), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, tar.ErrFieldTooLong),
		errors.Is(err, io.EOF), errors.Is(err, tar.ErrInsecurePath):
		return refuse("a layer is damaged or was cut off: it is not a whole tar archive")
	default:
		return err
	}
}

// Bytes writes a size for people.
func Bytes(size int64) string {
	units := []string{"KiB", "MiB", "GiB", "TiB"}
	value, unit := float64(size), "bytes"
	for _, next := range units {
		if value < 1024 {
			break
		}
		value, unit = value/1024, next
	}
	if unit == "bytes" || value == float64(int64(value)) {
		return fmt.Sprintf("%d %s", int64(value), unit)
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}
