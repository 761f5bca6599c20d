package chaos

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"connectrpc.com/connect"

	"git.omukk.dev/wrenn/sandbox/gen/process"
	"git.omukk.dev/wrenn/sandbox/gen/process/processconnect"
	"git.omukk.dev/wrenn/sandbox/internal/proxy/forward"
)

const (
	// callTimeout is where a call counts as hanging.
	callTimeout = 90 * time.Second
	// awayTimeout is how long an agent may be away that was killed.
	awayTimeout = time.Minute
	agentPort   = 49983
	serverPort  = 8000
)

// uncleanError is an answer that no client can make sense of.
type uncleanError struct{ cause error }

func (e *uncleanError) Error() string { return "unclean: " + e.cause.Error() }

// expected are the codes by which an agent may refuse or give up.
var expected = map[connect.Code]bool{
	connect.CodeUnavailable: true, connect.CodeAborted: true, connect.CodeFailedPrecondition: true,
	connect.CodeResourceExhausted: true, connect.CodeDeadlineExceeded: true, connect.CodeNotFound: true,
}

// call makes one call of the agent, again while the agent is away.
func call[Request, Response any](
	ctx context.Context, p *peace, method func(context.Context, *connect.Request[Request]) (*connect.Response[Response], error), message *Request,
) (*Response, error) {
	var answer *Response
	err := p.eventually(ctx, awayTimeout, 50*time.Millisecond, func() error {
		attempt, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		response, err := method(attempt, connect.NewRequest(message))
		var refused *connect.Error
		switch {
		case err == nil:
			answer = response.Msg
			return nil
		case errors.Is(err, syscall.ECONNRESET): // the agent was killed; connect calls it canceled
			return again(err)
		case !errors.As(err, &refused) || refused.Message() == "" || attempt.Err() != nil || !expected[refused.Code()]:
			return &uncleanError{err}
		case refused.Code() == connect.CodeUnavailable:
			return again(err)
		default:
			return err
		}
	})
	var away *exhaustedError
	if errors.As(err, &away) {
		return nil, &uncleanError{fmt.Errorf("the agent is away: %w", err)}
	}
	return answer, err
}

// toGuest sends what it is given to one port of one sandbox.
type toGuest struct {
	id        string
	port      int
	transport http.RoundTripper
}

func (g toGuest) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(forward.SandboxHeader, g.id)
	r.Header.Set(forward.PortHeader, strconv.Itoa(g.port))
	return g.transport.RoundTrip(r)
}

// shell runs a script in a sandbox and returns what it printed. Its stream can
// be cut at any moment; it may only never hang.
func (a *agent) shell(ctx context.Context, id, script string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	client := processconnect.NewProcessClient(&http.Client{Transport: toGuest{id, agentPort, a.traffic.Transport}}, "http://guest")
	stream, err := client.Start(ctx, connect.NewRequest(&process.StartRequest{
		Process: &process.ProcessConfig{Cmd: "/bin/bash", Args: []string{"-c", script}},
	}))
	if err != nil {
		return "", err
	}
	defer stream.Close()
	var output strings.Builder
	code := int32(-1)
	for stream.Receive() {
		output.Write(stream.Msg().GetEvent().GetData().GetStdout())
		if end := stream.Msg().GetEvent().GetEnd(); end != nil {
			code = end.GetExitCode()
		}
	}
	switch {
	case ctx.Err() != nil:
		return "", &uncleanError{fmt.Errorf("a command hung for %s", callTimeout)}
	case stream.Err() != nil:
		return "", stream.Err()
	case code != 0:
		return "", fmt.Errorf("exit code %d: %s", code, output.String())
	}
	return strings.TrimSpace(output.String()), nil
}
