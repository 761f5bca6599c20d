package jupyter

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"git.omukk.dev/wrenn/sandbox/templates/code-interpreter/server/internal/kernel"
)

// Source of all names here: "Messaging in Jupyter", version 5.3 of the protocol.

// header is the header of a message, and of the one that it answers.
type header struct {
	ID       string `json:"msg_id"`
	Type     string `json:"msg_type"`
	Session  string `json:"session"`
	Username string `json:"username"`
	Version  string `json:"version"`
	Date     string `json:"date"`
}

// request is a message to a kernel.
type request struct {
	Header   header         `json:"header"`
	Parent   struct{}       `json:"parent_header"`
	Metadata struct{}       `json:"metadata"`
	Content  executeRequest `json:"content"`
	Channel  string         `json:"channel"`
	Buffers  []struct{}     `json:"buffers"`
}

type executeRequest struct {
	Code            string   `json:"code"`
	Silent          bool     `json:"silent"`
	StoreHistory    bool     `json:"store_history"`
	UserExpressions struct{} `json:"user_expressions"`
	AllowStdin      bool     `json:"allow_stdin"`
	// StopOnError is false: a kernel that stops skips what comes soon after an error, too.
	StopOnError bool `json:"stop_on_error"`
}

// encodeRun makes the request that runs code.
func encodeRun(id, session string, run kernel.Run, now time.Time) ([]byte, error) {
	return json.Marshal(request{
		Header: header{
			ID: id, Type: "execute_request", Session: session, Username: "wrenn", Version: "5.3",
			Date: now.UTC().Format(time.RFC3339Nano),
		},
		Content: executeRequest{Code: run.Code, Silent: run.Silent, StoreHistory: !run.Silent},
		Channel: "shell",
		Buffers: []struct{}{},
	})
}

// message is one from a kernel, as far as it is read.
type message struct {
	// parent is the ID of the request that it belongs to, empty for none.
	parent string
	// state is that of a status message: busy, idle, restarting, dead, …
	state string
	// reply is the status of the answer to an execute_request: ok, error or aborted.
	reply string
	event kernel.Event
	// failure is the error of a reply. An error that was shown before comes again here.
	failure *kernel.Failure
}

// wire is the form of a message on the WebSocket.
type wire struct {
	Header  header          `json:"header"`
	Parent  header          `json:"parent_header"`
	Content json.RawMessage `json:"content"`
}

// content has the fields of all messages that are read.
type content struct {
	State     string                     `json:"execution_state"`
	Count     *int                       `json:"execution_count"`
	Name      string                     `json:"name"`
	Text      string                     `json:"text"`
	Data      map[string]json.RawMessage `json:"data"`
	Status    string                     `json:"status"`
	ErrorName string                     `json:"ename"`
	Error     string                     `json:"evalue"`
	Traceback []string                   `json:"traceback"`
}

func (c content) failure() kernel.Failure {
	return kernel.Failure{Name: c.ErrorName, Value: c.Error, Traceback: strings.Join(c.Traceback, "\n")}
}

var errNoType = errors.New("a message without a type")

// decode reads a message. A message of a type that says nothing about a run is one with
// its parent alone.
func decode(data []byte) (message, error) {
	var from wire
	if err := json.Unmarshal(data, &from); err != nil {
		return message{}, fmt.Errorf("read a message of a kernel: %w", err)
	}
	if from.Header.Type == "" {
		return message{}, errNoType
	}
	read := message{parent: from.Parent.ID}
	var c content
	switch from.Header.Type {
	case "status", "stream", "display_data", "execute_result", "error", "execute_input", "execute_reply":
		if err := json.Unmarshal(from.Content, &c); err != nil {
			return message{}, fmt.Errorf("read the content of a %s message: %w", from.Header.Type, err)
		}
	}
	switch from.Header.Type {
	case "status":
		read.state = c.State
	case "stream":
		read.event = kernel.Output{Stderr: c.Name == "stderr", Text: c.Text, At: parseDate(from.Header.Date)}
	case "display_data", "execute_result":
		read.event = kernel.Result{Main: from.Header.Type == "execute_result", Data: c.Data}
	case "error":
		read.event = c.failure()
	case "execute_input":
		if c.Count != nil {
			read.event = kernel.Count{N: *c.Count}
		}
	case "execute_reply":
		read.reply = c.Status
		switch c.Status {
		case "error":
			failure := c.failure()
			read.failure = &failure
		case "aborted":
			read.failure = &kernel.Failure{Name: "Aborted", Value: "The kernel did not run the code: run it again"}
		}
	}
	return read, nil
}

// parseDate reads the time of a message; without one it is the time of its arrival.
func parseDate(text string) time.Time {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Now()
	}
	return at
}
