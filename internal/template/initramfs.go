package template

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cavaliergopher/cpio"
	"github.com/klauspost/compress/zstd"
)

// initramfsModules are the drivers of the root disk and the network, in the order of
// loading. Those that are built into the kernel are skipped.
var initramfsModules = []string{
	"virtio_ring", "virtio", "virtio_mmio", "virtio_blk",
	"failover", "net_failover", "virtio_net", "virtio-rng",
	"ext4",
}

// writeInitramfs makes the archive that the kernel unpacks first. It is not compressed:
// for an emulated guest, decompressing takes longer than reading.
func writeInitramfs(path, unpacked string, init []byte) (err error) {
	modules, err := findModules(unpacked, initramfsModules)
	if err != nil {
		return err
	}
	busybox, err := os.ReadFile(filepath.Join(unpacked, "bin", "busybox"))
	if errors.Is(err, os.ErrNotExist) {
		busybox, err = os.ReadFile(filepath.Join(unpacked, "usr", "bin", "busybox"))
	}
	if err != nil {
		return fmt.Errorf("read busybox: %w", err)
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	archive := archive{writer: cpio.NewWriter(file)}
	for _, directory := range []string{"bin", "dev", "proc", "root", "modules"} {
		archive.directory(directory)
	}
	archive.console()
	archive.file("init", 0o755, init)
	archive.file("bin/busybox", 0o755, busybox)
	var order bytes.Buffer
	for _, module := range modules {
		fmt.Fprintln(&order, module.name)
		archive.file("modules/"+module.name, 0o644, module.content)
	}
	archive.file("modules/order", 0o644, order.Bytes())
	return archive.close()
}

// archive writes cpio entries and keeps the first error.
type archive struct {
	writer *cpio.Writer
	err    error
}

func (a *archive) directory(name string) {
	a.entry(&cpio.Header{Name: name, Mode: cpio.TypeDir | 0o755}, nil)
}

// console is the device the kernel opens as init's standard streams.
func (a *archive) console() {
	a.entry(&cpio.Header{Name: "dev/console", Mode: cpio.TypeChar | 0o600, DeviceID: 0}, nil)
}

func (a *archive) file(name string, mode cpio.FileMode, content []byte) {
	a.entry(&cpio.Header{Name: name, Mode: cpio.TypeReg | mode, Size: int64(len(content))}, content)
}

func (a *archive) entry(header *cpio.Header, content []byte) {
	if a.err != nil {
		return
	}
	if a.err = a.writer.WriteHeader(header); a.err == nil {
		_, a.err = a.writer.Write(content)
	}
}

func (a *archive) close() error {
	if a.err != nil {
		return fmt.Errorf("write initramfs: %w", a.err)
	}
	return a.writer.Close()
}

// module is one kernel module, decompressed.
type module struct {
	name    string
	content []byte
}

// findModules returns modules by name, each after its dependencies.
func findModules(unpacked string, names []string) ([]module, error) {
	roots, err := filepath.Glob(filepath.Join(unpacked, "lib", "modules", "*"))
	if err == nil && len(roots) == 0 {
		roots, err = filepath.Glob(filepath.Join(unpacked, "usr", "lib", "modules", "*"))
	}
	if err != nil {
		return nil, err
	}
	if len(roots) != 1 {
		return nil, fmt.Errorf("the kernel package holds modules of %d kernels, want 1", len(roots))
	}
	files, err := indexModules(roots[0])
	if err != nil {
		return nil, err
	}
	builtin, err := os.ReadFile(filepath.Join(roots[0], "modules.builtin"))
	if err != nil {
		return nil, err
	}
	finder := moduleFinder{files: files, builtin: string(builtin)}
	for _, name := range names {
		if err := finder.add(name); err != nil {
			return nil, err
		}
	}
	return finder.found, nil
}

// indexModules maps a module's name to its file, whatever its compression.
func indexModules(root string) (map[string]string, error) {
	files := make(map[string]string)
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if name, _, isModule := strings.Cut(filepath.Base(path), ".ko"); err == nil && isModule && !entry.IsDir() {
			files[canonical(name)] = path
		}
		return err
	})
	return files, err
}

// canonical makes names equal that are equal for the kernel.
func canonical(name string) string { return strings.ReplaceAll(name, "-", "_") }

type moduleFinder struct {
	files   map[string]string
	builtin string
	found   []module
}

func (f *moduleFinder) add(name string) error {
	path, ok := f.files[canonical(name)]
	if !ok {
		if f.isBuiltin(name) {
			return nil
		}
		return fmt.Errorf("the kernel has no module %s, built in or not", name)
	}
	if slices.ContainsFunc(f.found, func(m module) bool { return m.name == moduleFile(name) }) {
		return nil
	}
	content, err := readModule(path)
	if err != nil {
		return fmt.Errorf("read module %s: %w", name, err)
	}
	for _, dependency := range dependencies(content) {
		if err := f.add(dependency); err != nil {
			return err
		}
	}
	f.found = append(f.found, module{name: moduleFile(name), content: content})
	return nil
}

func (f *moduleFinder) isBuiltin(name string) bool {
	lines := bufio.NewScanner(strings.NewReader(f.builtin))
	for lines.Scan() {
		base := strings.TrimSuffix(filepath.Base(lines.Text()), ".ko")
		if canonical(base) == canonical(name) {
			return true
		}
	}
	return false
}

func moduleFile(name string) string { return canonical(name) + ".ko" }

// dependencies reads a module's dependencies from the module itself: modules.dep is made
// when a kernel is installed, and this one is not.
func dependencies(content []byte) []string {
	const field = "\x00depends="
	_, rest, found := bytes.Cut(content, []byte(field))
	if !found {
		return nil
	}
	list, _, _ := bytes.Cut(rest, []byte{0})
	if len(list) == 0 {
		return nil
	}
	return strings.Split(string(list), ",")
}

// readModule reads a module, which some distributions compress.
func readModule(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	switch filepath.Ext(path) {
	case ".ko":
		return io.ReadAll(file)
	case ".zst":
		reader, err := zstd.NewReader(file)
		if err != nil {
			return nil, err
		}
		defer reader.Close()
		return io.ReadAll(reader)
	default:
		return nil, fmt.Errorf("%s is compressed in a way that is not known", filepath.Base(path))
	}
}
