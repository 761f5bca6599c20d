// Package module loads the kernel modules that Wrenn brings into a guest: the kernel asks
// for one by a name or an alias, as it would ask modprobe. An image needs no modules, no
// lists of them and no kmod.
package module

import (
	"archive/zip"
	"bufio"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// Bundle is where a guest's modules are, if its image does not have those of its kernel.
const Bundle = "/.wrenn/modules.zip"

// ErrUnknown is returned for a module that the bundle does not have.
var ErrUnknown = errors.New("no such kernel module")

// Device is a device node whose driver is loaded when it is opened.
type Device struct {
	Name  string // below /dev
	Block bool
	Major uint32
	Minor uint32
}

// indexFile is the entry of the bundle that describes the others. Its lines are
// "module NAME DEPENDENCY,…", "alias PATTERN NAME" and "device NAME c|b MAJOR MINOR".
const indexFile = "index"

// maxModuleBytes bounds one module in memory.
const maxModuleBytes = 64 << 20

// Modules are the modules of a bundle. Close it after use.
type Modules struct {
	archive *zip.ReadCloser
	needs   map[string][]string // a module's dependencies
	aliases []alias
	devices []Device
	insert  func(image []byte) error
}

type alias struct{ pattern, module string }

// Open reads a bundle's index.
func Open(bundle string) (*Modules, error) {
	archive, err := zip.OpenReader(bundle)
	if err != nil {
		return nil, fmt.Errorf("open kernel modules: %w", err)
	}
	m := &Modules{archive: archive, needs: make(map[string][]string), insert: insert}
	if err := m.readIndex(); err != nil {
		return nil, errors.Join(fmt.Errorf("read the index of kernel modules: %w", err), archive.Close())
	}
	return m, nil
}

// Close closes the bundle.
func (m *Modules) Close() error { return m.archive.Close() }

// Devices are the device nodes whose drivers are in the bundle.
func (m *Modules) Devices() []Device { return m.devices }

func (m *Modules) readIndex() error {
	file, err := m.archive.Open(indexFile)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // it was only read
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if err := m.readLine(lines.Text()); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (m *Modules) readLine(line string) error {
	fields := strings.Fields(line)
	var err error
	switch {
	case len(fields) == 2 && fields[0] == "module":
		m.needs[fields[1]] = nil
	case len(fields) == 3 && fields[0] == "module":
		m.needs[fields[1]] = strings.Split(fields[2], ",")
	case len(fields) == 3 && fields[0] == "alias":
		m.aliases = append(m.aliases, alias{pattern: fields[1], module: fields[2]})
	case len(fields) == 5 && fields[0] == "device":
		device := Device{Name: fields[1], Block: fields[2] == "b"}
		_, err = fmt.Sscan(fields[3]+" "+fields[4], &device.Major, &device.Minor)
		m.devices = append(m.devices, device)
	default:
		err = errors.New("its form is not known")
	}
	if err != nil {
		return fmt.Errorf("line %q: %w", line, err)
	}
	return nil
}

// Load loads what the kernel asks for, which is a module's name or an alias of one or
// several, with their dependencies. What is loaded already is left alone. The error wraps
// ErrUnknown if there is no such module.
func (m *Modules) Load(wanted string) error {
	wanted = canonical(wanted)
	loaded := make(map[string]bool)
	if _, known := m.needs[wanted]; known {
		return m.load(wanted, loaded)
	}
	var failures []error
	found := false
	for _, a := range m.aliases {
		if matches, err := path.Match(a.pattern, wanted); err == nil && matches {
			found = true
			failures = append(failures, m.load(a.module, loaded))
		}
	}
	if !found {
		return fmt.Errorf("%w: %s", ErrUnknown, wanted)
	}
	return errors.Join(failures...)
}

// load loads a module after its dependencies.
func (m *Modules) load(name string, loaded map[string]bool) error {
	if loaded[name] {
		return nil
	}
	loaded[name] = true // first: a circle of dependencies ends
	needs, known := m.needs[name]
	if !known {
		return fmt.Errorf("%w: %s", ErrUnknown, name)
	}
	for _, dependency := range needs {
		if err := m.load(dependency, loaded); err != nil {
			return fmt.Errorf("for kernel module %s: %w", name, err)
		}
	}
	image, err := m.read(name)
	if err != nil {
		return fmt.Errorf("read kernel module %s: %w", name, err)
	}
	if err := m.insert(image); err != nil {
		return fmt.Errorf("load kernel module %s: %w", name, err)
	}
	return nil
}

func (m *Modules) read(name string) ([]byte, error) {
	file, err := m.archive.Open(name + ".ko")
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	return io.ReadAll(io.LimitReader(file, maxModuleBytes))
}

// insert gives a module to the kernel, which may have it.
func insert(image []byte) error {
	if err := unix.InitModule(image, ""); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil
}

// canonical makes names equal that are equal for the kernel.
func canonical(name string) string { return strings.ReplaceAll(name, "-", "_") }
