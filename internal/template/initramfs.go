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

// initramfsDirectory is where the initramfs has Wrenn's directory.
const initramfsDirectory = "wrenn"

// writeInitramfs makes the archive that the kernel unpacks first, with Wrenn's directory.
// It is not compressed: for an emulated guest, decompressing takes longer than reading.
func writeInitramfs(path, unpacked string, own directory) (err error) {
	modules, err := findModules(unpacked, initramfsModules)
	if err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	archive := archive{writer: cpio.NewWriter(file)}
	for _, directory := range []string{"dev", "proc", "root", "modules"} {
		archive.directory(directory)
	}
	archive.console()
	archive.link("init", initramfsDirectory+"/"+agentPath)
	archive.own(own)
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

func (a *archive) link(name, target string) {
	const everyone = 0o777
	a.entry(&cpio.Header{Name: name, Mode: cpio.TypeSymlink | everyone, Size: int64(len(target))}, []byte(target))
}

// own writes Wrenn's directory, each file after the directories above it.
func (a *archive) own(files directory) {
	made := make(map[string]bool)
	for _, f := range files {
		name := initramfsDirectory + "/" + f.path
		for _, parent := range parents("/" + name) {
			if !made[parent] {
				a.directory(strings.TrimPrefix(parent, "/"))
			}
			made[parent] = true
		}
		if f.link != "" {
			a.link(name, f.link)
			continue
		}
		a.file(name, cpio.FileMode(f.mode), f.content)
	}
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

// findModules returns modules of an unpacked kernel by name, each after its dependencies.
func findModules(unpacked string, names []string) ([]module, error) {
	root, err := Kernel{directory: unpacked}.moduleRoot()
	if err != nil {
		return nil, err
	}
	finder, err := newModuleFinder(root)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := finder.add(name); err != nil {
			return nil, err
		}
	}
	return finder.found, nil
}

// newModuleFinder reads which modules a kernel has below root.
func newModuleFinder(root string) (*moduleFinder, error) {
	files, err := indexModules(root)
	if err != nil {
		return nil, err
	}
	builtin, err := os.ReadFile(filepath.Join(root, "modules.builtin"))
	if err != nil {
		return nil, err
	}
	return &moduleFinder{files: files, builtin: string(builtin)}, nil
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
	lists := fieldsOf(content, "depends")
	if len(lists) == 0 || lists[0] == "" {
		return nil
	}
	return strings.Split(lists[0], ",")
}

// fieldsOf reads all values of a field of a module's information: strings that end with a
// zero byte.
func fieldsOf(content []byte, name string) []string {
	var values []string
	for field := []byte("\x00" + name + "="); ; {
		_, rest, found := bytes.Cut(content, field)
		if !found {
			return values
		}
		value, _, _ := bytes.Cut(rest, []byte{0})
		values = append(values, string(value))
		content = rest
	}
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
