package wrenn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"git.omukk.dev/wrenn/sandbox/gen/process"
	"git.omukk.dev/wrenn/sandbox/gen/process/processconnect"
	"git.omukk.dev/wrenn/sandbox/internal/cli"
	"git.omukk.dev/wrenn/sandbox/internal/cli/apiclient"
)

const (
	// keepalive is how often, in seconds, envd sends a message while a command prints
	// nothing: proxies close silent streams.
	keepalive = "50"
	// inputChunk is how many bytes of standard input one message carries.
	inputChunk = 32 << 10
	// killDelay is how long a command has to end after Ctrl-C before it is killed.
	killDelay = 3 * time.Second
)

// execution is a command that runs in a sandbox.
type execution struct {
	cli.Streams
	sandboxID   string
	command     []string
	environment []string
	directory   string
	user        string
	terminal    bool
}

func (c *sandboxCommand) newExec() *cobra.Command {
	e := &execution{Streams: c.Streams}
	command := &cobra.Command{
		Use:   "exec SANDBOX [--] COMMAND [ARGUMENT...]",
		Short: "Run a command in a sandbox",
		Long: `Run a command in a sandbox, print its output as it comes, and end with its exit
code. Piped input becomes the command's standard input. The command is not run by a
shell; for pipes and variables run one:

  wrenn sandbox exec SANDBOX -- sh -c 'ps aux | wc -l'`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(command *cobra.Command, arguments []string) error {
			a, err := c.connect()
			if err != nil {
				return err
			}
			e.sandboxID, e.command = arguments[0], arguments[1:]
			if e.command[0] == "--" { // flags end at SANDBOX, so "--" is an argument
				e.command = e.command[1:]
			}
			if len(e.command) == 0 {
				return errors.New("exec needs a command to run")
			}
			return e.run(command.Context(), a)
		},
	}
	flags := command.Flags()
	flags.SetInterspersed(false) // flags after COMMAND are the command's
	flags.BoolVarP(&e.terminal, "tty", "t", false, "give the command a terminal")
	flags.StringArrayVarP(&e.environment, "env", "e", nil, "environment variable, as NAME=VALUE; may be repeated")
	flags.StringVarP(&e.directory, "workdir", "w", "", "directory to run the command in")
	flags.StringVarP(&e.user, "user", "u", "", "user to run the command as")
	return command
}

// run starts the command and prints its output until it ends.
func (e *execution) run(ctx context.Context, a *apiclient.API) error {
	request, err := e.request()
	if err != nil {
		return err
	}
	client, err := e.connect(ctx, a)
	if err != nil {
		return err
	}
	// Not ctx: after Ctrl-C the stream stays open until the command has ended.
	streaming, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	stream, err := client.Start(streaming, connect.NewRequest(request))
	if err != nil {
		return fmt.Errorf("exec in %s: %w", e.sandboxID, plain(err))
	}
	defer stream.Close()
	if !stream.Receive() {
		return fmt.Errorf("exec in %s: %w", e.sandboxID, plain(stream.Err()))
	}
	pid := stream.Msg().GetEvent().GetStart().GetPid()
	if pid == 0 {
		return fmt.Errorf("exec in %s: the sandbox did not confirm that the command has started", e.sandboxID)
	}
	remote := &remoteProcess{client: client, selector: &process.ProcessSelector{Selector: &process.ProcessSelector_Pid{Pid: pid}}}
	restore, err := e.attach(streaming, remote, request)
	if err != nil {
		return err
	}
	defer restore()
	interrupted := context.AfterFunc(ctx, func() { remote.end(streaming, cut) })
	defer interrupted()
	end, err := e.follow(stream)
	if err != nil {
		if ctx.Err() != nil {
			return cli.ExitError(cli.ExitInterrupted)
		}
		return fmt.Errorf("exec in %s: %w", e.sandboxID, plain(err))
	}
	return e.conclude(end)
}

// connect looks up the sandbox and returns a client of its process service.
func (e *execution) connect(ctx context.Context, a *apiclient.API) (processconnect.ProcessClient, error) {
	guest, err := a.Guest(ctx, e.sandboxID, e.user)
	var paused *apiclient.PausedError
	if errors.As(err, &paused) {
		return nil, fmt.Errorf("sandbox %s is paused: resume it with wrenn sandbox resume %[1]s", paused.SandboxID)
	}
	if err != nil {
		return nil, fmt.Errorf("exec in %s: %w", e.sandboxID, err)
	}
	return guest.Processes(http.Header{"Keepalive-Ping-Interval": {keepalive}}), nil
}

func (e *execution) request() (*process.StartRequest, error) {
	environment, err := parsePairs("--env", e.environment)
	if err != nil {
		return nil, err
	}
	request := &process.StartRequest{Process: &process.ProcessConfig{Cmd: e.command[0], Args: e.command[1:], Envs: environment}}
	if e.directory != "" {
		request.Process.Cwd = &e.directory
	}
	if e.terminal {
		if !term.IsTerminal(int(e.Input.Fd())) {
			return nil, errors.New("-t needs a terminal, and standard input is none")
		}
		size, err := windowSize(e.Input)
		if err != nil {
			return nil, err
		}
		request.Pty = &process.PTY{Size: size}
		if environment["TERM"] == "" {
			environment["TERM"] = cmp.Or(os.Getenv("TERM"), "xterm")
		}
		return request, nil
	}
	piped := isPiped(e.Input)
	request.Stdin = &piped
	return request, nil
}

// isPiped is false for terminals and for other devices such as /dev/null.
func isPiped(input *os.File) bool {
	info, err := input.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice == 0
}

// attach sends this program's input to the command. restore undoes what it changes on
// the terminal.
func (e *execution) attach(ctx context.Context, remote *remoteProcess, request *process.StartRequest) (restore func(), err error) {
	if request.Pty != nil {
		return e.attachTerminal(ctx, remote)
	}
	if request.GetStdin() {
		// A read of standard input cannot be interrupted: this goroutine ends at the end
		// of the input or with the program.
		go remote.feed(ctx, e.Input, remote.sendStdin, e.Errors)
	}
	return func() {}, nil
}

// follow prints output until the command ends.
func (e *execution) follow(stream *connect.ServerStreamForClient[process.StartResponse]) (*process.ProcessEvent_EndEvent, error) {
	for stream.Receive() {
		event := stream.Msg().GetEvent()
		if end := event.GetEnd(); end != nil {
			return end, nil
		}
		if err := e.write(event.GetData()); err != nil {
			return nil, err
		}
	}
	if err := stream.Err(); err != nil {
		return nil, err
	}
	return nil, errors.New("the sandbox went away before the command ended")
}

func (e *execution) write(data *process.ProcessEvent_DataEvent) error {
	var err error
	switch {
	case len(data.GetStderr()) > 0:
		_, err = e.Errors.Write(data.GetStderr())
	case len(data.GetPty()) > 0:
		_, err = e.Output.Write(data.GetPty())
	case len(data.GetStdout()) > 0:
		_, err = e.Output.Write(data.GetStdout())
	}
	return err
}

// conclude turns the command's exit code into this program's.
func (e *execution) conclude(end *process.ProcessEvent_EndEvent) error {
	if !end.GetExited() {
		fmt.Fprintf(e.Errors, "%s ended by %s\n", e.command[0], end.GetStatus())
	}
	switch code := end.GetExitCode(); {
	case code == 0 && end.GetExited():
		return nil
	case code <= 0:
		return cli.ExitError(cli.ExitFailure)
	default:
		return cli.ExitError(code)
	}
}

// remoteProcess is the process of a command in its sandbox.
type remoteProcess struct {
	client   processconnect.ProcessClient
	selector *process.ProcessSelector
}

// feed sends input in order, and then its end.
func (r *remoteProcess) feed(ctx context.Context, input io.Reader, send func(context.Context, []byte) error, problems io.Writer) {
	buffer := make([]byte, inputChunk)
	for {
		n, err := input.Read(buffer)
		if n > 0 {
			if sendErr := send(ctx, buffer[:n]); sendErr != nil {
				return // the command has ended, and its end is being reported
			}
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, io.EOF) {
			fmt.Fprintf(problems, "read standard input: %v\n", err)
		}
		// It fails only if the command has ended.
		_, _ = r.client.CloseStdin(ctx, connect.NewRequest(&process.CloseStdinRequest{Process: r.selector}))
		return
	}
}

func (r *remoteProcess) sendStdin(ctx context.Context, data []byte) error {
	return r.send(ctx, &process.ProcessInput{Input: &process.ProcessInput_Stdin{Stdin: data}})
}

func (r *remoteProcess) send(ctx context.Context, input *process.ProcessInput) error {
	_, err := r.client.SendInput(ctx, connect.NewRequest(&process.SendInputRequest{Process: r.selector, Input: input}))
	return err
}

// end tells the command to end, and kills it if it has not ended after killDelay.
func (r *remoteProcess) end(ctx context.Context, cut context.CancelFunc) {
	for _, signal := range []process.Signal{process.Signal_SIGNAL_SIGTERM, process.Signal_SIGNAL_SIGKILL} {
		request := connect.NewRequest(&process.SendSignalRequest{Process: r.selector, Signal: signal})
		if _, err := r.client.SendSignal(ctx, request); err != nil {
			break // it has ended, or the sandbox has
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(killDelay):
		}
	}
	cut()
}

// plain returns an RPC error's message without the name of its code.
func plain(err error) error {
	var rpc *connect.Error
	if errors.As(err, &rpc) {
		return errors.New(rpc.Message())
	}
	return err
}
