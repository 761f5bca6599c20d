package rootfs

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/metrics"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/image/erofs"
	"git.omukk.dev/wrenn/sandbox/internal/image/ext4"
	"git.omukk.dev/wrenn/sandbox/internal/image/filetree"
	"git.omukk.dev/wrenn/sandbox/internal/image/layers"
)

// read is the process that reads layers. It returns the exit status.
func read(input io.Reader, output io.Writer) int {
	answers := json.NewEncoder(output)
	usage, err := readPlan(input, answers)
	last := message{Done: &usage}
	if err != nil {
		last = message{Failure: describe(err)}
	}
	if answers.Encode(last) != nil || err != nil {
		return 1
	}
	return 0
}

func readPlan(input io.Reader, answers *json.Encoder) (result, error) {
	var told plan
	if err := json.NewDecoder(input).Decode(&told); err != nil {
		return result{}, fmt.Errorf("read the plan: %w", err)
	}
	to, tree, err := told.open(os.NewFile(firstLayerFile-1, "disk"))
	if err != nil {
		return result{}, err
	}
	reader := layers.NewReader(tree, to, told.Limits.Layers)
	for i, layer := range told.Layers {
		file := os.NewFile(uintptr(firstLayerFile+i), "layer")
		content := &reported{
			source: file, answers: answers, limits: told.Limits,
			progress: Progress{Layer: i + 1, Layers: len(told.Layers), TotalBytes: layer.Size},
		}
		if layer.Kind == Image {
			err = copyImage(file, tree, to)
		} else {
			err = reader.Read(context.Background(), layers.Layer{
				Content: content, Size: layer.Size, DiffID: layer.DiffID, Overlay: layer.Kind == Overlay,
			})
		}
		if err != nil {
			return result{}, err
		}
		if err := content.report(); err != nil {
			return result{}, err
		}
	}
	return to.finish(tree)
}

// copyImage copies the files of an EROFS image.
func copyImage(file io.ReaderAt, tree *filetree.Tree, to fileSystem) error {
	image, err := erofs.Open(file)
	if err != nil {
		return err
	}
	tree.BeginLayer()
	return image.Walk(func(found erofs.File) (err error) {
		if found.Same != "" {
			return tree.Link(found.Name, found.Same)
		}
		if found.Node.IsRegular() {
			if found.Node.Extents, err = to.Write(image.Content(found), found.Node.Size); err != nil {
				return err
			}
		}
		return tree.Put(found.Name, found.Node)
	})
}

// fileSystem takes contents as they come, and the tree at last.
type fileSystem interface {
	layers.Disk
	finish(tree *filetree.Tree) (result, error)
}

// open opens the file system, and returns the tree of its files so far.
func (p plan) open(file *os.File) (fileSystem, *filetree.Tree, error) {
	if p.Format != EROFS {
		writer, err := ext4.Open(file)
		if err != nil {
			return nil, nil, err
		}
		return ext4Disk{writer}, filetree.New(p.Limits.Tree, writer.Free), nil
	}
	options := erofs.Options{MostBytes: p.MostBytes}
	if p.Extend {
		writer, tree, err := erofs.Extend(file, options, p.Limits.Tree)
		return erofsImage{writer}, tree, err
	}
	var err error
	if options.UUID, err = uuid.Parse(p.UUID); err != nil {
		return nil, nil, fmt.Errorf("read the plan: %w", err)
	}
	writer := erofs.New(file, options)
	return erofsImage{writer}, filetree.New(p.Limits.Tree, writer.Free), nil
}

type ext4Disk struct{ *ext4.Writer }

func (d ext4Disk) finish(tree *filetree.Tree) (result, error) {
	usage, err := d.Finish(tree)
	return result{LargeDirectory: usage.LargeDirectory}, err
}

type erofsImage struct{ *erofs.Writer }

func (i erofsImage) finish(tree *filetree.Tree) (result, error) {
	_, err := i.Finish(tree)
	return result{}, err
}

// reported tells now and then how much was read.
type reported struct {
	source   io.Reader
	answers  *json.Encoder
	limits   Limits
	progress Progress
	next     time.Time
}

func (r *reported) Read(buffer []byte) (int, error) {
	n, err := r.source.Read(buffer)
	r.progress.Bytes += int64(n)
	if usedMemory() > usableMemory(r.limits) {
		return n, r.limits.outOfMemory()
	}
	const every = time.Second
	if now := time.Now(); now.After(r.next) {
		r.next = now.Add(every)
		if err := r.report(); err != nil {
			return n, err
		}
	}
	return n, err
}

// usedMemory is what Go has of the system, in bytes.
func usedMemory() uint64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64() - samples[1].Value.Uint64()
}

func (r *reported) report() error { return r.answers.Encode(message{Progress: &r.progress}) }
