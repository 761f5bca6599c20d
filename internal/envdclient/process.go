package envdclient

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"time"

	"connectrpc.com/connect"

	"git.omukk.dev/wrenn/sandbox/gen/process"
	"git.omukk.dev/wrenn/sandbox/gen/process/processconnect"
	"git.omukk.dev/wrenn/sandbox/pkg/wait"
)

// Command is a process in a guest.
type Command struct {
	Path      string
	Arguments []string
	// User is a name of the guest's; empty for the default user.
	User string
	// Directory is absolute; empty for the default.
	Directory   string
	Environment map[string]string
	// Stdin is sent to the process; nil for none.
	Stdin io.Reader
}

// Exit is how a process ended.
type Exit struct {
	// Code is negative for a process that a signal ended.
	Code int
	// Status is the guest's words for it, such as "exit status 1" or "signal: killed".
	Status string
}

// Succeeded reports exit code 0.
func (e Exit) Succeeded() bool { return e.Code == 0 }

// StartError is returned for a process that the guest could not start.
type StartError struct{ cause error }

// Error says why.
func (e *StartError) Error() string { return e.cause.Error() }

// Unwrap returns the guest's answer.
func (e *StartError) Unwrap() error { return e.cause }

// Follower receives what a process writes, and its end. Its functions are called one at a
// time. Nil ones are left out.
type Follower struct {
	Started func(pid uint32)
	Stdout  func([]byte)
	Stderr  func([]byte)
}

// stdinBytes is how much of stdin goes in one message.
const stdinBytes = 128 << 10

// stdinGrace is how long a process may take to end whose stdin could not be sent: most have
// ended, and read no more.
const stdinGrace = 5 * time.Second

// Execute runs a process and waits for its end. The guest ends it at ctx's deadline; when
// ctx is cancelled without one, the process runs on. A process never sees the end of a stdin
// that could not be sent whole.
func (c *Client) Execute(ctx context.Context, secret string, command Command, to Follower) (Exit, error) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	exit, err := c.follow(ctx, fail, secret, command, to)
	var cut *stdinError
	if err != nil && errors.As(context.Cause(ctx), &cut) {
		return Exit{}, cut
	}
	return exit, err
}

// follow ends ctx when it returns, or where stdin cannot be sent.
func (c *Client) follow(ctx context.Context, end context.CancelCauseFunc, secret string, command Command, to Follower) (Exit, error) {
	withStdin := command.Stdin != nil
	config := &process.ProcessConfig{Cmd: command.Path, Args: command.Arguments, Envs: command.Environment}
	if command.Directory != "" {
		config.Cwd = &command.Directory
	}
	request := connect.NewRequest(&process.StartRequest{Process: config, Stdin: &withStdin})
	setCaller(request.Header(), secret, command.User)
	client := processconnect.NewProcessClient(c.client, c.base, connect.WithReadMaxBytes(maxEventBytes))
	stream, err := client.Start(ctx, request)
	if err != nil {
		return Exit{}, fmt.Errorf("start a command: %w", err)
	}
	defer stream.Close()
	sent := make(chan struct{})
	close(sent)
	defer func() { end(nil); <-sent }()
	started := false
	for stream.Receive() {
		event := stream.Msg().GetEvent()
		switch {
		case event.GetStart() != nil:
			started = true
			if to.Started != nil {
				to.Started(event.GetStart().GetPid())
			}
			if withStdin {
				sent = make(chan struct{})
				go func() {
					defer close(sent)
					if err := c.sendStdin(ctx, secret, event.GetStart().GetPid(), command.Stdin); err != nil {
						wait.For(ctx, stdinGrace)
						end(&stdinError{err})
					}
				}()
			}
		case event.GetData() != nil:
			to.output(event.GetData())
		case event.GetEnd() != nil:
			return Exit{Code: int(event.GetEnd().GetExitCode()), Status: event.GetEnd().GetStatus()}, nil
		}
	}
	err = stream.Err()
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	var answered *connect.Error
	if !started && errors.As(err, &answered) && connect.IsWireError(err) {
		return Exit{}, &StartError{cause: errors.New(answered.Message())}
	}
	return Exit{}, fmt.Errorf("follow a command: %w", err)
}

func (f Follower) output(data *process.ProcessEvent_DataEvent) {
	if content := data.GetStdout(); len(content) > 0 && f.Stdout != nil {
		f.Stdout(content)
	}
	if content := data.GetStderr(); len(content) > 0 && f.Stderr != nil {
		f.Stderr(content)
	}
}

func (c *Client) sendStdin(ctx context.Context, secret string, pid uint32, content io.Reader) error {
	client := processconnect.NewProcessClient(c.client, c.base)
	stream := client.StreamInput(ctx)
	setCaller(stream.RequestHeader(), secret, "")
	selector := &process.ProcessSelector{Selector: &process.ProcessSelector_Pid{Pid: pid}}
	err := stream.Send(&process.StreamInputRequest{Event: &process.StreamInputRequest_Start{
		Start: &process.StreamInputRequest_StartEvent{Process: selector},
	}})
	buffer := make([]byte, stdinBytes)
	for err == nil {
		var n int
		n, err = io.ReadFull(content, buffer)
		if n == 0 {
			break
		}
		sendErr := stream.Send(&process.StreamInputRequest{Event: &process.StreamInputRequest_Data{
			Data: &process.StreamInputRequest_DataEvent{Input: &process.ProcessInput{Input: &process.ProcessInput_Stdin{Stdin: buffer[:n]}}},
		}})
		if sendErr != nil {
			err = sendErr
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	if _, closeErr := stream.CloseAndReceive(); err != nil || closeErr != nil {
		return errors.Join(err, closeErr)
	}
	request := connect.NewRequest(&process.CloseStdinRequest{Process: selector})
	setCaller(request.Header(), secret, "")
	_, err = client.CloseStdin(ctx, request)
	return err
}

// stdinError is returned for a process that runs on, and whose stdin could not be sent whole.
type stdinError struct{ cause error }

func (e *stdinError) Error() string { return "send a command its input: " + e.cause.Error() }
func (e *stdinError) Unwrap() error { return e.cause }

func setCaller(header interface{ Set(name, value string) }, secret, user string) {
	if secret != "" {
		header.Set(SecretHeader, secret)
	}
	if user != "" {
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user+":")))
	}
}
