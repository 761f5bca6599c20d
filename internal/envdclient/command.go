package envdclient

import (
	"context"
	"fmt"

	"connectrpc.com/connect"

	"git.omukk.dev/wrenn/sandbox/gen/process"
	"git.omukk.dev/wrenn/sandbox/gen/process/processconnect"
)

// maxEventBytes bounds one message in the stream of a command.
const maxEventBytes = 1 << 20

// Run runs a line of shell as the default user and drops its output. A command that fails
// is an error.
func (c *Client) Run(ctx context.Context, secret, line string) error {
	client := processconnect.NewProcessClient(c.client, c.base, connect.WithReadMaxBytes(maxEventBytes))
	request := connect.NewRequest(&process.StartRequest{
		Process: &process.ProcessConfig{Cmd: "/bin/bash", Args: []string{"-l", "-c", line}},
	})
	if secret != "" {
		request.Header().Set(SecretHeader, secret)
	}
	stream, err := client.Start(ctx, request)
	if err != nil {
		return fmt.Errorf("run %q: %w", line, err)
	}
	defer stream.Close()
	for stream.Receive() {
		if end := stream.Msg().GetEvent().GetEnd(); end != nil && end.GetExitCode() != 0 {
			return fmt.Errorf("run %q: %s", line, end.GetStatus())
		}
	}
	if err := stream.Err(); err != nil {
		return fmt.Errorf("run %q: %w", line, err)
	}
	return nil
}
