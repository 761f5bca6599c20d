package mcp

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"time"
	"unicode/utf8"

	"connectrpc.com/connect"
	protocol "github.com/modelcontextprotocol/go-sdk/mcp"

	"git.omukk.dev/wrenn/sandbox/gen/process"
	"git.omukk.dev/wrenn/sandbox/gen/process/processconnect"
	"git.omukk.dev/wrenn/sandbox/internal/cli/apiclient"
)

const (
	defaultRunSeconds = 60
	mostRunSeconds    = 3600
	// mostOutput is what is kept of each stream of a command, its end: a model reads it.
	mostOutput = 64 << 10
	// mostFile is what one call reads of a file.
	mostFile = 1 << 20
	// mostWrite is what one call writes.
	mostWrite = 16 << 20
	// mostRequest is a request that writes as much, in base64, with room for the rest.
	mostRequest = 24 << 20
	// fileTimeout bounds reads and writes of files.
	fileTimeout = 2 * time.Minute
	// keepalive is how often, in seconds, the guest agent sends something while a command
	// prints nothing: proxies close silent streams.
	keepalive = "50"
)

type runInput struct {
	SandboxID      string            `json:"sandbox_id" jsonschema:"ID of the sandbox"`
	Command        string            `json:"command" jsonschema:"command line, run by bash"`
	Directory      string            `json:"cwd,omitempty" jsonschema:"directory to run it in; the user's home if omitted"`
	User           string            `json:"user,omitempty" jsonschema:"user to run it as, for example root"`
	Environment    map[string]string `json:"env,omitempty" jsonschema:"environment variables"`
	TimeoutSeconds int               `json:"timeout_seconds,omitempty" jsonschema:"seconds after which it is killed, up to 3600; 60 if omitted"`
}

type runOutput struct {
	Stdout   string `json:"stdout"`
	Stderr   string `json:"stderr"`
	ExitCode int    `json:"exit_code"`
	// Truncated is true where only the end of an output was kept.
	Truncated bool `json:"truncated,omitempty"`
}

type readInput struct {
	SandboxID string `json:"sandbox_id" jsonschema:"ID of the sandbox"`
	Path      string `json:"path" jsonschema:"path of the file"`
	Offset    int64  `json:"offset,omitempty" jsonschema:"byte to begin at; 0 if omitted"`
}

type readOutput struct {
	Content  string `json:"content"`
	Encoding string `json:"encoding" jsonschema:"text, or base64 where the file is not UTF-8"`
	// Next is where to go on reading, 0 at the end.
	Next int64 `json:"next_offset,omitempty"`
}

type writeInput struct {
	SandboxID string `json:"sandbox_id" jsonschema:"ID of the sandbox"`
	Path      string `json:"path" jsonschema:"path of the file; directories that are missing are made"`
	Content   string `json:"content" jsonschema:"the file's whole content"`
	Encoding  string `json:"encoding,omitempty" jsonschema:"text, or base64 for a file that is not text"`
}

func (t tools) addWork(server *protocol.Server) {
	protocol.AddTool(server, &protocol.Tool{Name: "run_command", Description: "Run a command line in a sandbox and return its output and exit code."}, handle(t.run))
	protocol.AddTool(server, &protocol.Tool{
		Name: "read_file", Description: "Read a file of a sandbox, 1 MiB at most; go on at next_offset.", Annotations: &protocol.ToolAnnotations{ReadOnlyHint: true},
	}, handle(t.read))
	protocol.AddTool(server, &protocol.Tool{Name: "write_file", Description: "Write a file of a sandbox."}, handle(t.write))
}

func (t tools) guest(ctx context.Context, id, user string) (*apiclient.Guest, error) {
	if id == "" {
		return nil, errors.New("sandbox_id is empty")
	}
	return t.api.Guest(ctx, id, user)
}

func (t tools) run(ctx context.Context, in runInput) (out runOutput, err error) {
	limit := cmp.Or(in.TimeoutSeconds, defaultRunSeconds)
	if limit < 1 || limit > mostRunSeconds {
		return out, fmt.Errorf("timeout_seconds is %d; it is from 1 to %d", limit, mostRunSeconds)
	}
	if in.Command == "" {
		return out, errors.New("command is empty")
	}
	guest, err := t.guest(ctx, in.SandboxID, in.User)
	if err != nil {
		return out, err
	}
	config := &process.ProcessConfig{Cmd: "/bin/bash", Args: []string{"-l", "-c", in.Command}, Envs: in.Environment}
	if in.Directory != "" {
		config.Cwd = &in.Directory
	}
	timed, cancel := context.WithTimeout(ctx, time.Duration(limit)*time.Second)
	defer cancel()
	client := guest.Processes(http.Header{"Keepalive-Ping-Interval": {keepalive}})
	c := command{client: client}
	out, err = c.run(timed, config)
	if timed.Err() != nil {
		// The guest agent ends a command whose client has left only if it is told to.
		c.kill(context.WithoutCancel(ctx))
		if ctx.Err() == nil {
			return out, fmt.Errorf("the command was killed after %d s; it had printed:\n%s%s", limit, out.Stdout, out.Stderr)
		}
	}
	return out, err
}

// command is one that runs in a sandbox.
type command struct {
	client processconnect.ProcessClient
	pid    uint32
}

func (c *command) run(ctx context.Context, config *process.ProcessConfig) (out runOutput, err error) {
	var stdout, stderr tail
	defer func() {
		out.Stdout, out.Stderr = stdout.String(), stderr.String()
		out.Truncated = stdout.cut || stderr.cut
	}()
	stream, err := c.client.Start(ctx, connect.NewRequest(&process.StartRequest{Process: config}))
	if err != nil {
		return out, plain(err)
	}
	defer stream.Close()
	for stream.Receive() {
		event := stream.Msg().GetEvent()
		if start := event.GetStart(); start != nil {
			c.pid = start.GetPid()
		}
		if data := event.GetData(); data != nil {
			stdout.add(data.GetStdout())
			stderr.add(data.GetStderr())
		}
		if end := event.GetEnd(); end != nil {
			out.ExitCode = int(end.GetExitCode())
			return out, nil
		}
	}
	return out, cmp.Or(plain(stream.Err()), errors.New("the sandbox did not say how the command ended"))
}

// kill ends a command that takes too long.
func (c *command) kill(ctx context.Context) {
	if c.pid == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, fileTimeout)
	defer cancel()
	// It fails only if the command has ended, or the sandbox has.
	_, _ = c.client.SendSignal(ctx, connect.NewRequest(&process.SendSignalRequest{
		Process: &process.ProcessSelector{Selector: &process.ProcessSelector_Pid{Pid: c.pid}}, Signal: process.Signal_SIGNAL_SIGKILL,
	}))
}

// tail keeps the end of what is added.
type tail struct {
	content []byte
	cut     bool
}

func (t *tail) add(data []byte) {
	t.content = append(t.content, data...)
	if over := len(t.content) - mostOutput; over > 0 {
		t.content, t.cut = bytes.Clone(t.content[over:]), true
	}
}

func (t *tail) String() string { return string(bytes.ToValidUTF8(t.content, []byte("\uFFFD"))) }

// plain returns an RPC error's message without the name of its code.
func plain(err error) error {
	var rpc *connect.Error
	if errors.As(err, &rpc) {
		return errors.New(rpc.Message())
	}
	return err
}

func (t tools) read(ctx context.Context, in readInput) (out readOutput, err error) {
	if in.Path == "" || in.Offset < 0 {
		return out, errors.New("path is empty, or offset is negative")
	}
	ctx, cancel := context.WithTimeout(ctx, fileTimeout)
	defer cancel()
	guest, err := t.guest(ctx, in.SandboxID, "")
	if err != nil {
		return out, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, guest.FileURL(in.Path), nil)
	if err != nil {
		return out, err
	}
	response, err := guest.HTTP().Do(request)
	if err != nil {
		return out, fmt.Errorf("read %s: %w", in.Path, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return out, fmt.Errorf("read %s: %w", in.Path, apiclient.ReadRefusal(response))
	}
	if _, err := io.CopyN(io.Discard, response.Body, in.Offset); err != nil && !errors.Is(err, io.EOF) {
		return out, fmt.Errorf("read %s: %w", in.Path, err)
	}
	content, err := io.ReadAll(io.LimitReader(response.Body, mostFile+1))
	if err != nil {
		return out, fmt.Errorf("read %s: %w", in.Path, err)
	}
	if len(content) > mostFile {
		content = wholeRunes(content[:mostFile])
		out.Next = in.Offset + int64(len(content))
	}
	out.Content, out.Encoding = string(content), "text"
	if !utf8.Valid(content) {
		out.Content, out.Encoding = base64.StdEncoding.EncodeToString(content), "base64"
	}
	return out, nil
}

// wholeRunes leaves out a character that is cut at the end.
func wholeRunes(content []byte) []byte {
	for size := 1; size < utf8.UTFMax && size <= len(content); size++ {
		if last := content[len(content)-size:]; utf8.RuneStart(last[0]) {
			if !utf8.FullRune(last) {
				return content[:len(content)-size]
			}
			break
		}
	}
	return content
}

func (t tools) write(ctx context.Context, in writeInput) (done, error) {
	content := []byte(in.Content)
	switch in.Encoding {
	case "", "text":
	case "base64":
		var err error
		if content, err = base64.StdEncoding.DecodeString(in.Content); err != nil {
			return done{}, fmt.Errorf("content is not base64: %w", err)
		}
	default:
		return done{}, fmt.Errorf("encoding is %q; it is text or base64", in.Encoding)
	}
	if in.Path == "" || len(content) > mostWrite {
		return done{}, fmt.Errorf("path is empty, or content has more than %d MiB", mostWrite>>20)
	}
	ctx, cancel := context.WithTimeout(ctx, fileTimeout)
	defer cancel()
	guest, err := t.guest(ctx, in.SandboxID, "")
	if err != nil {
		return done{}, err
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", in.Path)
	if err == nil {
		_, err = part.Write(content)
	}
	if err = errors.Join(err, form.Close()); err != nil {
		return done{}, fmt.Errorf("write %s: %w", in.Path, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, guest.FileURL(in.Path), &body)
	if err != nil {
		return done{}, err
	}
	request.Header.Set("Content-Type", form.FormDataContentType())
	response, err := guest.HTTP().Do(request)
	if err != nil {
		return done{}, fmt.Errorf("write %s: %w", in.Path, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return done{}, fmt.Errorf("write %s: %w", in.Path, apiclient.ReadRefusal(response))
	}
	return done{Done: fmt.Sprintf("wrote %d bytes to %s", len(content), in.Path)}, nil
}
