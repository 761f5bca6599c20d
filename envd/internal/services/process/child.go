package process

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	pb "git.omukk.dev/wrenn/sandbox/envd/gen/process"
	"git.omukk.dev/wrenn/sandbox/envd/internal/cgroups"
)

// Errors of what is asked of a process.
var (
	errNoStdin     = errors.New("the process was started without stdin")
	errStdinClosed = errors.New("stdin is closed")
	errNoPTY       = errors.New("the process has no terminal")
	errHasPTY      = errors.New("the process has a terminal: send it end of file (Ctrl-D) instead")
	errEnded       = errors.New("the process has ended")
)

// child is one command that was started, its terminal or its pipes, and the
// goroutines that carry its output. Each child is waited for exactly once, by
// run.
type child struct {
	config *pb.ProcessConfig
	tag    *string
	pid    int
	output *output

	command  *exec.Cmd
	terminal *os.File // nil without a PTY

	inputMutex sync.Mutex // one writer at a time; also guards closing
	stdin      *os.File   // nil without stdin, or when closed
	stdinOpen  bool       // whether the process was started with stdin

	signalMutex sync.Mutex // held while signalling and while reaping
	reaped      bool
	done        chan struct{} // closed when the end was published
}

const (
	readBytes = 32 << 10 // read at once
	pipeBytes = 64 << 10 // read at most after the exit, unless more was in the pipe
	// drainIdle is how long a pipe must be silent, after the process that
	// wrote it exited, to be taken for drained. A background child of it may
	// hold the pipe open for ever.
	drainIdle = 50 * time.Millisecond
)

// Groups puts a process into the control group of its class.
type Groups interface {
	Start(class cgroups.Class, attributes *syscall.SysProcAttr, start func() error) error
}

// launcher starts commands.
type launcher struct {
	groups     Groups
	protection *protection
}

// start runs the command. The subscription it returns is older than the
// command's first byte of output, so that none is missed.
func (l launcher) start(command *exec.Cmd, request *pb.StartRequest) (*child, *subscription, error) {
	c := &child{config: request.GetProcess(), tag: request.Tag, command: command, output: newOutput(), done: make(chan struct{})}
	first := c.output.subscribe()
	class := cgroups.User
	begin := func() error { return c.startWithPipes(request.Stdin == nil || request.GetStdin()) }
	if request.GetPty() != nil {
		class = cgroups.PTY
		begin = func() error { return c.startInTerminal(request.GetPty().GetSize()) }
	}
	err := l.groups.Start(class, command.SysProcAttr, func() error { return l.protection.lift(begin) })
	if err != nil {
		return nil, nil, err
	}
	c.pid = command.Process.Pid
	relax(c.pid)
	return c, first, nil
}

func (c *child) startInTerminal(size *pb.PTY_Size) error {
	attributes := c.command.SysProcAttr
	attributes.Setsid, attributes.Setctty = true, true
	terminal, err := pty.StartWithAttrs(c.command, windowSize(size), attributes)
	if err != nil {
		return err
	}
	c.terminal = terminal
	go c.run(c.reader(terminal, func(data []byte) *pb.ProcessEvent_DataEvent {
		return &pb.ProcessEvent_DataEvent{Output: &pb.ProcessEvent_DataEvent_Pty{Pty: data}}
	}))
	return nil
}

func (c *child) startWithPipes(withStdin bool) error {
	c.command.SysProcAttr.Setpgid = true
	var theirs []*os.File
	defer func() {
		for _, file := range theirs {
			file.Close()
		}
	}()
	stdout, stdoutWriter, err := os.Pipe()
	if err != nil {
		return err
	}
	theirs = append(theirs, stdoutWriter)
	stderr, stderrWriter, err := os.Pipe()
	if err != nil {
		return errors.Join(err, stdout.Close())
	}
	theirs = append(theirs, stderrWriter)
	c.command.Stdout, c.command.Stderr = stdoutWriter, stderrWriter
	if withStdin {
		stdinReader, stdin, err := os.Pipe()
		if err != nil {
			return errors.Join(err, stdout.Close(), stderr.Close())
		}
		theirs = append(theirs, stdinReader)
		c.command.Stdin, c.stdin, c.stdinOpen = stdinReader, stdin, true
	}
	if err := c.command.Start(); err != nil {
		if c.stdin != nil {
			err = errors.Join(err, c.stdin.Close())
		}
		return errors.Join(err, stdout.Close(), stderr.Close())
	}
	go c.run(
		c.reader(stdout, func(data []byte) *pb.ProcessEvent_DataEvent {
			return &pb.ProcessEvent_DataEvent{Output: &pb.ProcessEvent_DataEvent_Stdout{Stdout: data}}
		}),
		c.reader(stderr, func(data []byte) *pb.ProcessEvent_DataEvent {
			return &pb.ProcessEvent_DataEvent{Output: &pb.ProcessEvent_DataEvent_Stderr{Stderr: data}}
		}))
	return nil
}

// run waits for the process, then for its output, and publishes the end.
func (c *child) run(readers ...*reader) {
	defer close(c.done)
	for _, r := range readers {
		go r.run()
	}
	state, err := c.reap()
	for _, r := range readers {
		close(r.exited)
	}
	for _, r := range readers {
		<-r.drained
	}
	c.closeInput()
	c.output.finish(endEvent(state, err))
}

// reap waits until the process has ended without freeing its number, and frees
// it only while nobody signals: a signal can never reach a stranger.
func (c *child) reap() (*os.ProcessState, error) {
	for {
		err := unix.Waitid(unix.P_PID, c.command.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	c.signalMutex.Lock()
	defer c.signalMutex.Unlock()
	c.reaped = true
	err := c.command.Wait()
	return c.command.ProcessState, err
}

// signal reaches the whole process group. A terminal's child leads one too.
func (c *child) signal(signal syscall.Signal) error {
	c.signalMutex.Lock()
	defer c.signalMutex.Unlock()
	if c.reaped {
		return errEnded
	}
	err := unix.Kill(-c.pid, signal)
	if errors.Is(err, unix.ESRCH) {
		return errEnded
	}
	return err
}

// write feeds stdin or the terminal; it waits while the process does not read,
// until ctx ends.
func (c *child) write(ctx context.Context, input *pb.ProcessInput) error {
	c.inputMutex.Lock()
	defer c.inputMutex.Unlock()
	var target *os.File
	var data []byte
	switch kind := input.GetInput().(type) {
	case *pb.ProcessInput_Stdin:
		if c.stdin == nil {
			if c.stdinOpen {
				return errStdinClosed
			}
			return errNoStdin
		}
		target, data = c.stdin, kind.Stdin
	case *pb.ProcessInput_Pty:
		if c.terminal == nil {
			return errNoPTY
		}
		target, data = c.terminal, kind.Pty
	default:
		return errors.New("the input is neither stdin nor pty")
	}
	return writeFile(ctx, target, data)
}

func writeFile(ctx context.Context, target *os.File, data []byte) error {
	stop := context.AfterFunc(ctx, func() { _ = target.SetWriteDeadline(time.Unix(1, 0)) })
	_, err := target.Write(data)
	if !stop() {
		_ = target.SetWriteDeadline(time.Time{}) // it fired: the next writer starts afresh
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.EIO), errors.Is(err, os.ErrClosed):
		return errStdinClosed
	default:
		return err
	}
}

// closeStdin tells the process that there is no more input. Twice is fine.
func (c *child) closeStdin() error {
	if c.terminal != nil {
		return errHasPTY
	}
	c.inputMutex.Lock()
	defer c.inputMutex.Unlock()
	if !c.stdinOpen {
		return errNoStdin
	}
	if c.stdin == nil {
		return nil
	}
	err := c.stdin.Close()
	c.stdin = nil
	return err
}

// closeInput gives back what a process that has ended was written to by. A
// terminal stays with its reader.
func (c *child) closeInput() {
	c.inputMutex.Lock()
	defer c.inputMutex.Unlock()
	if c.stdin != nil {
		c.stdin.Close()
		c.stdin = nil
	}
	c.terminal = nil
}

func (c *child) resize(size *pb.PTY_Size) error {
	c.inputMutex.Lock()
	defer c.inputMutex.Unlock()
	if c.terminal == nil {
		return errNoPTY
	}
	return pty.Setsize(c.terminal, windowSize(size))
}

func windowSize(size *pb.PTY_Size) *pty.Winsize {
	clamp := func(value uint32) uint16 { return uint16(min(max(value, 1), 1<<16-1)) }
	return &pty.Winsize{Cols: clamp(size.GetCols()), Rows: clamp(size.GetRows())}
}

func endEvent(state *os.ProcessState, err error) *pb.ProcessEvent {
	end := &pb.ProcessEvent_EndEvent{ExitCode: -1}
	if state != nil {
		end.ExitCode, end.Exited, end.Status = int32(state.ExitCode()), state.Exited(), state.String()
	}
	if err != nil {
		message := err.Error()
		end.Error = &message
	}
	return &pb.ProcessEvent{Event: &pb.ProcessEvent_End{End: end}}
}
