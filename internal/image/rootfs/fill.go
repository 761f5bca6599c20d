package rootfs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/image/erofs"
	"git.omukk.dev/wrenn/sandbox/internal/image/ext4"
	"git.omukk.dev/wrenn/sandbox/internal/image/layers"
)

// firstLayerFile is the descriptor of the lowest layer in the process that reads.
const firstLayerFile = 4

// plan is what the process that reads layers is told on its standard input.
type plan struct {
	Format Format
	// UUID and MostBytes are of a file system that the reader makes itself.
	UUID      string
	MostBytes int64
	// Extend says that the file system is an image with files.
	Extend bool
	Layers []plannedLayer
	Limits Limits
}

type plannedLayer struct {
	Kind   LayerKind
	Size   int64
	DiffID string
}

// message is what it answers with on its standard output: progress and, at last, one of
// the others.
type message struct {
	Progress *Progress `json:",omitempty"`
	Done     *result   `json:",omitempty"`
	Failure  *failure  `json:",omitempty"`
}

// result is what the caller has to know of a file system that is filled.
type result struct {
	// LargeDirectory says whether a directory is so large that it needs an index.
	LargeDirectory bool
}

type failure struct {
	Kind failureKind
	Text string
}

type failureKind string

const (
	failedInvalid   failureKind = "invalid"
	failedDiskFull  failureKind = "disk full"
	failedNoInodes  failureKind = "no inodes"
	failedHostFull  failureKind = "host full"
	failedOtherwise failureKind = "other"
)

// fill has the layers read into the empty file system.
func (w *writer) fill(ctx context.Context) (result, error) {
	told := plan{
		Format: w.options.Format, UUID: w.options.UUID, MostBytes: int64(w.options.DiskMiB) << 20,
		Extend: w.options.Base != "", Limits: w.options.Limits,
	}
	files := []*os.File{w.file}
	for _, layer := range w.options.Layers {
		info, err := layer.File.Stat()
		if err != nil {
			return result{}, err
		}
		if _, err := layer.File.Seek(0, io.SeekStart); err != nil {
			return result{}, err
		}
		told.Layers = append(told.Layers, plannedLayer{Kind: layer.Kind, Size: info.Size(), DiffID: layer.DiffID})
		files = append(files, layer.File)
	}
	input, err := json.Marshal(told)
	if err != nil {
		return result{}, err
	}
	command := w.confinedAs(ctx, "/proc/self/exe", []string{readerName})
	command.Env = append(command.Env, fmt.Sprintf("GOMEMLIMIT=%d", usableMemory(w.options.Limits)), "GOMAXPROCS=2")
	command.Stdin, command.ExtraFiles = bytes.NewReader(input), files
	var complaints bytes.Buffer
	command.Stderr = &limitedBuffer{&complaints}
	output, err := command.StdoutPipe()
	if err != nil {
		return result{}, err
	}
	if err := command.Start(); err != nil {
		return result{}, fmt.Errorf("start reading an image: %w", err)
	}
	last := w.follow(output)
	err = command.Wait()
	switch {
	case ctx.Err() != nil:
		return result{}, ctx.Err()
	case last.Failure != nil:
		return result{}, last.Failure.asError()
	case err == nil && last.Done != nil:
		return *last.Done, nil
	default:
		return result{}, w.explainEnd(command.ProcessState, err, complaints.String())
	}
}

// limitedBuffer keeps the beginning of what is written.
type limitedBuffer struct{ *bytes.Buffer }

func (b *limitedBuffer) Write(content []byte) (int, error) {
	const most = 4096
	room := max(0, most-b.Len())
	b.Buffer.Write(content[:min(room, len(content))])
	return len(content), nil
}

// follow passes progress on and returns the last message.
func (w *writer) follow(output io.Reader) (last message) {
	for decoder := json.NewDecoder(output); ; {
		var next message
		if err := decoder.Decode(&next); err != nil {
			// What is left must not block the process.
			_, _ = io.Copy(io.Discard, output)
			return last
		}
		last = next
		if next.Progress != nil && w.options.Progress != nil {
			w.options.Progress(*next.Progress)
		}
	}
}

func (f *failure) asError() error {
	switch f.Kind {
	case failedInvalid:
		return &InvalidError{Text: f.Text}
	case failedDiskFull:
		return ErrDiskFull
	case failedNoInodes:
		return ErrTooManyFiles
	case failedHostFull:
		return ErrHostFull
	default:
		return fmt.Errorf("read an image: %s", f.Text)
	}
}

// usableMemory is how much the process that reads may use: what is left of the limit is
// for its threads, and for what a part of a layer may add before the next check.
func usableMemory(limits Limits) uint64 { return limits.MemoryBytes / 4 * 3 }

func (l Limits) outOfMemory() error {
	return &InvalidError{Text: fmt.Sprintf("unpacking the image takes more than %s of memory, which is the limit", layers.Bytes(int64(l.MemoryBytes)))}
}

// explainEnd says why the process ended without an answer. Only an image that takes more
// than it may ends it so.
func (w *writer) explainEnd(state *os.ProcessState, err error, complaints string) error {
	limits := w.options.Limits
	// The kernel's own count, by which it ends a process, is a little ahead.
	const inexact = time.Second / 2
	if used := state.UserTime() + state.SystemTime() + inexact; uint64(used.Seconds()) >= limits.CPUSeconds {
		return &InvalidError{Text: fmt.Sprintf("unpacking the image takes more than %d seconds of processor time, which is the limit", limits.CPUSeconds)}
	}
	if strings.Contains(complaints, "out of memory") || strings.Contains(complaints, "cannot allocate memory") {
		return limits.outOfMemory()
	}
	return fmt.Errorf("read an image: the process ended: %w: %s", errors.Join(err, errors.New(state.String())), head(complaints))
}

// describe tells the kinds of errors apart.
func describe(err error) *failure {
	kind := failedOtherwise
	switch {
	case layers.IsRefusal(err), errors.As(err, new(*InvalidError)):
		kind = failedInvalid
	case errors.Is(err, ext4.ErrFull), errors.Is(err, erofs.ErrFull):
		kind = failedDiskFull
	case errors.Is(err, ext4.ErrInodes):
		kind = failedNoInodes
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		kind = failedHostFull
	}
	return &failure{Kind: kind, Text: err.Error()}
}
