package up

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
	"git.omukk.dev/wrenn/sandbox/internal/supervisor"
)

// logLimit is the size beyond which a log file is renamed at the next start.
const logLimit = 64 << 20

// The program's hidden subcommands that run as children, below InternalCommand.
const (
	InternalCommand     = "internal"
	HostAgentCommand    = "host-agent"
	ControlPlaneCommand = "control-plane"
)

// LifelineFD is the file descriptor of the lifeline in a child: the first one after the
// standard files.
const LifelineFD = 3

// child is a part of Wrenn that runs as a process of its own: this same
// program, with a hidden subcommand.
type child struct {
	name        string
	subcommand  string
	logPath     string
	environment []string
	identity    *syscall.SysProcAttr
	signals     supervisor.Signals
	stdout      io.Writer // nil means the log
	lifeline    *os.File
	// ready is called every pollEvery until it returns nil.
	ready        func(ctx context.Context) error
	readyTimeout time.Duration
}

// start runs the child and returns when it is ready.
func (c child) start(ctx context.Context) (supervisor.Running, error) {
	log, err := openLog(c.logPath)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	// The program is named by what this process runs, not by a path: another
	// user can then run it wherever it lies, and an upgrade on disk does not mix
	// two builds.
	command := exec.Command("/proc/self/exe", InternalCommand, c.subcommand)
	command.Args[0] = "wrenn"
	command.Dir = "/"
	command.Env = c.environment
	command.Stdout, command.Stderr = log, log
	if c.stdout != nil {
		command.Stdout = c.stdout
	}
	command.ExtraFiles = []*os.File{c.lifeline}
	command.SysProcAttr = c.identity
	process, err := supervisor.Start(c.name, command, c.signals)
	if err != nil {
		return nil, err
	}
	if err := c.awaitReady(ctx, process); err != nil {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		return nil, errors.Join(err, process.Stop(stopping))
	}
	return process, nil
}

func (c child) awaitReady(ctx context.Context, process *supervisor.Process) error {
	ctx, cancel := context.WithTimeout(ctx, c.readyTimeout)
	defer cancel()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		last := c.ready(ctx)
		if last == nil {
			return nil
		}
		select {
		case <-process.Done():
			return fmt.Errorf("%s did not start: %s (log: %s)", c.name, c.failure(process), c.logPath)
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w: %w (log: %s)", c.name, ctx.Err(), last, c.logPath)
		case <-poll.C:
		}
	}
}

// failure is why the child ended: the error that its main printed last, or else how
// the process ended.
func (c child) failure(process *supervisor.Process) string {
	content, err := os.ReadFile(c.logPath)
	if err == nil {
		content = bytes.TrimSpace(content)
		last := string(content[bytes.LastIndexByte(content, '\n')+1:])
		if reason, found := strings.CutPrefix(last, cli.ErrorPrefix); found {
			return reason
		}
	}
	if process.Err() == nil {
		return "it ended at once"
	}
	return process.Err().Error()
}

// openLog opens a log file for appending. One that is larger than logLimit is renamed
// first.
func openLog(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && info.Size() > logLimit {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, fmt.Errorf("rename the old log: %w", err)
		}
	}
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return log, nil
}
