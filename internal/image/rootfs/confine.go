package rootfs

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// confinerName is a process's name (argv[0]) by which this package recognises that it is
// to limit itself and to become another program.
const confinerName = "wrenn-confine-image"

// readerName is that of the process that reads layers.
const readerName = "wrenn-read-image"

// confinement is what the confiner is told.
type confinement struct {
	FileBytes, CPUSeconds, MemoryBytes uint64
	Program                            string
	Arguments                          []string // with the name
}

// confined returns a command that runs a program as the disk's user, without a network,
// other processes or new privileges, and within limits.
func (w *writer) confined(ctx context.Context, program string, arguments ...string) *exec.Cmd {
	return w.confinedAs(ctx, program, append([]string{program}, arguments...))
}

func (w *writer) confinedAs(ctx context.Context, program string, arguments []string) *exec.Cmd {
	// It consists of texts and numbers, which always can be written.
	told, _ := json.Marshal(confinement{
		FileBytes: uint64(w.size), CPUSeconds: w.options.Limits.CPUSeconds, MemoryBytes: w.options.Limits.MemoryBytes,
		Program: program, Arguments: arguments,
	})
	command := exec.CommandContext(ctx, "/proc/self/exe")
	command.Args = []string{confinerName, string(told)}
	command.Dir = "/"
	command.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if os.Geteuid() == 0 {
		id := uint32(w.options.User)
		command.SysProcAttr.Credential = &syscall.Credential{Uid: id, Gid: id}
		command.SysProcAttr.Cloneflags = unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS
	}
	return command
}

// A program that links this package starts itself again under these names.
func init() {
	switch os.Args[0] {
	case confinerName:
		err := confine()
		fmt.Fprintln(os.Stderr, "confine a process:", err)
		os.Exit(confineStatus)
	case readerName:
		os.Exit(read(os.Stdin, os.Stdout))
	}
}

// confineStatus is the exit status when the confined program could not be started.
const confineStatus = 126

// confine limits this process and starts the program in its place. It returns only errors.
func confine() error {
	var told confinement
	if err := json.Unmarshal([]byte(os.Args[1]), &told); err != nil {
		return err
	}
	const mostFiles = 1024
	// The limit of memory is that of data: Go reserves far more addresses than it uses.
	for resource, limit := range map[int]uint64{
		unix.RLIMIT_FSIZE: told.FileBytes, unix.RLIMIT_CPU: told.CPUSeconds, unix.RLIMIT_DATA: told.MemoryBytes,
		unix.RLIMIT_CORE: 0, unix.RLIMIT_NOFILE: mostFiles, unix.RLIMIT_MEMLOCK: 0,
	} {
		if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
			return fmt.Errorf("set limit %d: %w", resource, err)
		}
	}
	// Of this thread, which exec makes the only one. In init it is the main one, locked.
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up new privileges: %w", err)
	}
	return unix.Exec(told.Program, told.Arguments, os.Environ())
}
