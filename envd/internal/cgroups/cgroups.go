// Package cgroups keeps what users run apart from envd, so that a command that
// runs away starves neither envd nor terminals, and so that all of it can be
// stopped at once. It uses version 2; where the kernel or its owner does not
// let it, processes simply start where envd is.
// Source: Documentation/admin-guide/cgroup-v2.rst in Linux.
package cgroups

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"

	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/filesystem"
)

// Class says what a process is to envd.
type Class int

// The classes of processes envd starts.
const (
	User  Class = iota // a command
	PTY                // a command in a terminal: somebody waits for its answer
	Socat              // a port forwarder of envd's own
)

// directories of the classes, below the root. What users run has a parent of
// its own, which bounds the memory of all of it together.
var directories = map[Class]string{User: "commands/user", PTY: "commands/pty", Socat: "socat"}

const (
	commandsDirectory = "commands"
	ownDirectory      = "envd"
)

// ErrFrozen is returned for a command that shall start while all are stopped.
var ErrFrozen = errors.New("commands are stopped for a snapshot")

// Groups are envd's control groups. Make them with Open.
type Groups struct {
	log   *slog.Logger
	files map[Class]*os.File // directories; empty where cgroups cannot be used

	starting sync.RWMutex // held while a process starts, so that none starts half-frozen
	frozen   bool         // or half of it, or left so by an earlier envd
}

// Open makes the groups, moves envd into its own and ends what forwarders an
// earlier envd left. It cannot fail: without cgroups Usable answers false.
func Open(log *slog.Logger) *Groups {
	root, err := findMount(filesystem.MountTable)
	if err != nil {
		log.Warn("commands are not kept apart", "error", err)
		return &Groups{log: log}
	}
	return open(root, log)
}

func open(root string, log *slog.Logger) *Groups {
	g := &Groups{log: log, files: make(map[Class]*os.File), frozen: true}
	if err := g.make(root); err != nil {
		log.Warn("commands are not kept apart", "error", err)
		g.Close()
		g.frozen = false
		return g
	}
	limit(root, log)
	return g
}

// make creates the directories and shows that a process can be started in them.
func (g *Groups) make(root string) error {
	const mode = 0o755
	own := filepath.Join(root, ownDirectory)
	if err := os.MkdirAll(own, mode); err != nil {
		return fmt.Errorf("make control group: %w", err)
	}
	if err := write(own, "cgroup.procs", "0"); err != nil { // 0 is who writes
		return err
	}
	for class, name := range directories {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(path, mode); err != nil {
			return fmt.Errorf("make control group: %w", err)
		}
		file, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("open control group: %w", err)
		}
		g.files[class] = file
	}
	if err := endMembers(g.files[Socat].Name()); err != nil {
		g.log.Warn("an earlier envd's forwarders may be left", "error", err)
	}
	return errors.Join(g.Thaw(), g.tryStart())
}

// tryStart fails where the kernel does not start processes in a group.
func (g *Groups) tryStart() error {
	command := exec.Command("/bin/true")
	command.SysProcAttr = &syscall.SysProcAttr{}
	err := g.Start(User, command.SysProcAttr, command.Run)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("start a process in a control group: %w", err)
	}
	return nil
}

// Usable says whether processes are kept apart and can be frozen.
func (g *Groups) Usable() bool { return len(g.files) > 0 }

// Start calls start, which starts a process with these attributes, so that the
// process begins its life in the class's group.
func (g *Groups) Start(class Class, attributes *syscall.SysProcAttr, start func() error) error {
	g.starting.RLock()
	defer g.starting.RUnlock()
	if g.frozen && class != Socat {
		return ErrFrozen
	}
	if file, ok := g.files[class]; ok {
		attributes.UseCgroupFD, attributes.CgroupFD = true, int(file.Fd())
	}
	return start()
}

// Close forgets the groups; what runs in them runs on.
func (g *Groups) Close() {
	for _, file := range g.files {
		file.Close()
	}
	g.files = nil
}

// findMount returns where the version 2 hierarchy is mounted.
func findMount(table string) (string, error) {
	mounts, err := filesystem.ReadMounts(table)
	if err != nil {
		return "", err
	}
	for _, mount := range mounts {
		if mount.Type == "cgroup2" {
			return mount.Path, nil
		}
	}
	return "", errors.New("no cgroup2 file system is mounted")
}

func write(directory, file, value string) error {
	if err := os.WriteFile(filepath.Join(directory, file), []byte(value), 0); err != nil {
		return fmt.Errorf("set control group: %w", err)
	}
	return nil
}
