package process

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	pb "git.omukk.dev/wrenn/sandbox/envd/gen/process"
	"git.omukk.dev/wrenn/sandbox/envd/internal/cgroups"
	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/id"
)

// Errors of requests about a process.
var (
	errNoStdin     = errors.New("the process was started without stdin")
	errStdinClosed = errors.New("stdin is closed")
	errNoPTY       = errors.New("the process has no terminal")
	errHasPTY      = errors.New("the process has a terminal: send it end of file (Ctrl-D) instead")
	errEnded       = errors.New("the process has ended")
	errNoInput     = errors.New("the input is neither stdin nor pty")
)

// child is a running command, its terminal or pipes, and the goroutines that read its
// output. Its run method waits for it, once.
type child struct {
	config *pb.ProcessConfig
	tag    *string
	pid    id.Process
	output *output

	command  *exec.Cmd
	terminal *os.File // nil without a PTY; its reader closes it
	input    *input   // nil without stdin and PTY

	signalMutex sync.Mutex // held while signalling and while reaping
	reaped      bool
	done        chan struct{} // closed after its end event was published
}

// Groups puts a process into the control group of its class.
type Groups interface {
	Start(class cgroups.Class, attributes *syscall.SysProcAttr, start func() error) error
}

// launcher starts commands.
type launcher struct {
	groups     Groups
	protection *protection
}

// start runs the command. The subscription that it returns is made before, so that it has
// all output.
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
	c.pid = id.Process(command.Process.Pid)
	relax(c.pid)
	return c, first, nil
}

func (c *child) startInTerminal(size *pb.PTY_Size) error {
	master, slave, err := openTerminal(size)
	if err != nil {
		return err
	}
	defer slave.Close()
	attributes := c.command.SysProcAttr
	attributes.Setsid, attributes.Setctty = true, true
	c.command.Stdin, c.command.Stdout, c.command.Stderr = slave, slave, slave
	if err := c.command.Start(); err != nil {
		return errors.Join(err, master.Close())
	}
	c.terminal = master
	c.input = newInput(master, func() error { return master.SetWriteDeadline(time.Unix(1, 0)) })
	go c.run(c.reader(master, func(data []byte) *pb.ProcessEvent_DataEvent {
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
		c.command.Stdin, c.input = stdinReader, newInput(stdin, stdin.Close)
	}
	if err := c.command.Start(); err != nil {
		if c.input != nil {
			err = errors.Join(err, c.input.close())
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

// run waits for the process and its output, and publishes the end event.
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
	if c.input != nil {
		_ = c.input.close() // queued input has no reader any more
	}
	c.output.finish(endEvent(state, err))
}

// reap waits for the process's end without reaping it, and reaps it with signalMutex
// locked, so that no signal is sent to another process with the same number.
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

// signal signals the process group that the process leads. SIGKILL of a process with a
// terminal kills the session, because a shell gives each of its jobs a group of its own.
func (c *child) signal(signal syscall.Signal) error {
	c.signalMutex.Lock()
	defer c.signalMutex.Unlock()
	if c.reaped {
		return errEnded
	}
	err := unix.Kill(-int(c.pid), signal)
	if err == nil && signal == unix.SIGKILL && c.terminal != nil {
		err = killSession(c.pid)
	}
	if errors.Is(err, unix.ESRCH) {
		return errEnded
	}
	return err
}

// write writes to stdin or the terminal. It blocks while the process does not read, until
// the context ends.
func (c *child) write(ctx context.Context, request *pb.ProcessInput) error {
	switch kind := request.GetInput().(type) {
	case *pb.ProcessInput_Stdin:
		if c.input == nil || c.terminal != nil {
			return errNoStdin
		}
		return c.input.write(ctx, kind.Stdin)
	case *pb.ProcessInput_Pty:
		if c.terminal == nil {
			return errNoPTY
		}
		return c.input.write(ctx, kind.Pty)
	default:
		return errNoInput
	}
}

// closeStdin closes stdin after pending writes. It is idempotent.
func (c *child) closeStdin(ctx context.Context) error {
	switch {
	case c.terminal != nil:
		return errHasPTY
	case c.input == nil:
		return errNoStdin
	default:
		return c.input.finish(ctx)
	}
}

func (c *child) resize(size *pb.PTY_Size) error {
	if c.terminal == nil {
		return errNoPTY
	}
	err := resizeTerminal(c.terminal, size)
	if err != nil && c.input.isClosed() {
		return errEnded
	}
	return err
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
