// Package guest runs commands through the guest agent with nothing but HTTP,
// as the official SDKs do: the Connect protocol in JSON.
package guest

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"

	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

// AgentPort is the port on which the guest agent listens in a sandbox.
const AgentPort = sandbox.AgentPort

// endOfStream marks the envelope that ends a Connect stream.
const endOfStream = 0x02

const maxEnvelopeBytes = 16 << 20

// Agent is where and as whom to reach one sandbox's guest agent.
type Agent struct {
	Client *http.Client
	// BaseURL is the agent's own address, or Wrenn's when the headers name the
	// sandbox.
	BaseURL string
	// Header goes with every request: the token, and the sandbox's name.
	Header http.Header
}

// Result is a command that has ended.
type Result struct {
	ProcessID int
	Stdout    []byte
	Stderr    []byte
	ExitCode  int
}

type startResponse struct {
	Event struct {
		Start *struct {
			ProcessID int `json:"pid"`
		} `json:"start"`
		Data *struct {
			Stdout []byte `json:"stdout"`
			Stderr []byte `json:"stderr"`
		} `json:"data"`
		End *struct {
			ExitCode int `json:"exitCode"`
		} `json:"end"`
	} `json:"event"`
}

// Run runs a shell command and returns what it printed, once it has ended.
func (a *Agent) Run(ctx context.Context, command string) (*Result, error) {
	body, err := a.start(ctx, command)
	if err != nil {
		return nil, fmt.Errorf("run %q: %w", command, err)
	}
	defer body.Close()
	result, ended := &Result{}, false
	for {
		var message startResponse
		switch err := readEnvelope(body, &message); {
		case errors.Is(err, io.EOF) && ended:
			return result, nil
		case err != nil:
			return nil, fmt.Errorf("run %q: read its events: %w", command, err)
		}
		switch event := message.Event; {
		case event.Start != nil:
			result.ProcessID = event.Start.ProcessID
		case event.Data != nil:
			result.Stdout = append(result.Stdout, event.Data.Stdout...)
			result.Stderr = append(result.Stderr, event.Data.Stderr...)
		case event.End != nil:
			result.ExitCode, ended = event.End.ExitCode, true
		}
	}
}

func (a *Agent) start(ctx context.Context, command string) (io.ReadCloser, error) {
	payload, err := json.Marshal(map[string]any{
		"process": map[string]any{"cmd": "/bin/bash", "args": []string{"-l", "-c", command}},
		"stdin":   false,
	})
	if err != nil {
		return nil, err
	}
	envelope := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(payload)))
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.BaseURL+"/process.Process/Start",
		bytes.NewReader(append(envelope, payload...)))
	if err != nil {
		return nil, err
	}
	maps.Copy(request.Header, a.Header)
	request.Header.Set("Content-Type", "application/connect+json")
	request.Header.Set("Connect-Protocol-Version", "1")
	response, err := a.Client.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		defer response.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		return nil, fmt.Errorf("answer is %s: %s", response.Status, text)
	}
	return response.Body, nil
}

// readEnvelope decodes the next message of a Connect stream; io.EOF is its
// proper end.
func readEnvelope(body io.Reader, into any) error {
	var head [5]byte
	if _, err := io.ReadFull(body, head[:]); err != nil {
		return fmt.Errorf("stream was cut off: %w", noEOF(err))
	}
	length := binary.BigEndian.Uint32(head[1:])
	if length > maxEnvelopeBytes {
		return fmt.Errorf("message of %d bytes is too long", length)
	}
	payload := make([]byte, length)
	if _, err := io.ReadFull(body, payload); err != nil {
		return fmt.Errorf("message was cut off: %w", noEOF(err))
	}
	if head[0]&endOfStream == 0 {
		return json.Unmarshal(payload, into)
	}
	var end struct {
		Error *struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.Unmarshal(payload, &end); err != nil {
		return err
	}
	if end.Error != nil {
		return fmt.Errorf("%s: %s", end.Error.Code, end.Error.Message)
	}
	return io.EOF
}

// noEOF keeps a broken stream from looking like a finished one.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
