// Package cgroups starts users' processes in control groups, version 2, apart from envd:
// a command cannot starve envd or terminals, and all of them can be frozen at once. On a
// machine without usable control groups processes start in envd's group.
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

// Class is the kind of a process that envd starts.
type Class int

// The classes.
const (
	User  Class = iota // a command
	PTY                // a command in a terminal, used interactively
	Socat              // a port forwarder
)

// directories of the classes, below the root. Those of users have a common parent, which
// limits their memory together.
var directories = map[Class]string{User: "commands/user", PTY: "commands/pty", Socat: "socat"}

const (
	commandsDirectory = "commands"
	ownDirectory      = "envd"
)

// ErrFrozen is returned by Start while commands are frozen.
var ErrFrozen = errors.New("commands are frozen for a snapshot")

// Groups are envd's control groups. Make them with Open.
type Groups struct {
	log   *slog.Logger
	files map[Class]*os.File // directories; empty where cgroups cannot be used
	// ungrouped: the kernel has no groups, and the host stops all processes at once.
	ungrouped bool

	starting sync.RWMutex // held for reading while a process starts, for writing while freezing
	frozen   bool         // also if a freeze failed half-way, or an earlier envd left it so
}

// Open makes the groups, moves envd into its own, and ends port forwarders that an earlier
// envd left. It does not fail: without control groups Usable returns false.
func Open(log *slog.Logger) *Groups {
	root, err := findMount(filesystem.MountTable)
	if err != nil {
		log.Warn("commands run in the guest agent's own control group", "error", err)
		return &Groups{log: log}
	}
	return open(root, log)
}

// None is for a guest whose kernel has no control groups: commands are started until they
// are frozen, and what runs is stopped by the host.
func None(log *slog.Logger) *Groups { return &Groups{log: log, ungrouped: true} }

func open(root string, log *slog.Logger) *Groups {
	g := &Groups{log: log, files: make(map[Class]*os.File), frozen: true}
	if err := g.make(root); err != nil {
		log.Warn("commands run in the guest agent's own control group", "error", err)
		g.Close()
		g.frozen = false
		return g
	}
	limit(root, log)
	return g
}

// make creates the directories and tests that a process can be started in one.
func (g *Groups) make(root string) error {
	const mode = 0o755
	own := filepath.Join(root, ownDirectory)
	if err := os.MkdirAll(own, mode); err != nil {
		return fmt.Errorf("make control group: %w", err)
	}
	if err := write(own, "cgroup.procs", "0"); err != nil { // 0 means the writing process
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

// tryStart fails if the kernel cannot start a process in a group.
func (g *Groups) tryStart() error {
	command := exec.Command("/bin/true")
	command.SysProcAttr = &syscall.SysProcAttr{}
	err := g.Start(User, command.SysProcAttr, command.Run)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("start a process in a control group: %w", err)
	}
	return nil
}

// Usable reports whether processes can be frozen.
func (g *Groups) Usable() bool { return len(g.files) > 0 || g.ungrouped }

// Start sets the attributes to start a process in the class's group, and calls start.
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

// Close closes the groups; processes in them run on.
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
