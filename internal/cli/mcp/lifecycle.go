package mcp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	protocol "github.com/modelcontextprotocol/go-sdk/mcp"

	"git.omukk.dev/wrenn/sandbox/internal/cli/apiclient"
)

// defaultTimeoutSeconds is how long a sandbox lives unless its create says otherwise, as
// in the official SDKs.
const defaultTimeoutSeconds = 300

// tools call the API.
type tools struct{ api *apiclient.API }

// sandboxAnswer is what tools tell of a sandbox.
type sandboxAnswer struct {
	SandboxID string            `json:"sandboxID"`
	Template  string            `json:"templateID"`
	Alias     string            `json:"alias,omitempty"`
	State     string            `json:"state,omitempty"`
	StartedAt *time.Time        `json:"startedAt,omitempty"`
	EndAt     *time.Time        `json:"endAt,omitempty"`
	Metadata  map[string]string `json:"metadata,omitempty"`
}

type createInput struct {
	Template        string            `json:"template,omitempty" jsonschema:"template to start from; base if omitted"`
	TimeoutSeconds  int               `json:"timeout_seconds,omitempty" jsonschema:"seconds until it is killed, or paused; 300 if omitted"`
	Environment     map[string]string `json:"env,omitempty" jsonschema:"environment variables of every command in it"`
	Metadata        map[string]string `json:"metadata,omitempty" jsonschema:"metadata to find it by"`
	PauseAtEnd      bool              `json:"pause_at_end,omitempty" jsonschema:"pause it instead of killing it when its time is over"`
	WithoutInternet bool              `json:"without_internet,omitempty" jsonschema:"give it no access to the internet"`
}

type sandboxInput struct {
	SandboxID string `json:"sandbox_id" jsonschema:"ID of the sandbox"`
}

type timedInput struct {
	SandboxID      string `json:"sandbox_id" jsonschema:"ID of the sandbox"`
	TimeoutSeconds int    `json:"timeout_seconds,omitempty" jsonschema:"seconds until it is killed, or paused; 300 if omitted"`
}

type forkInput struct {
	SandboxID      string `json:"sandbox_id" jsonschema:"ID of the running sandbox to copy, with its memory and files"`
	Count          int    `json:"count,omitempty" jsonschema:"how many copies; 1 if omitted"`
	TimeoutSeconds int    `json:"timeout_seconds,omitempty" jsonschema:"seconds until the copies are killed; 300 if omitted"`
}

type done struct {
	Done string `json:"done"`
}

type list struct {
	Sandboxes []sandboxAnswer `json:"sandboxes"`
}

type forks struct {
	Forks []sandboxAnswer `json:"forks"`
}

func (t tools) addLifecycle(server *protocol.Server) {
	protocol.AddTool(server, &protocol.Tool{Name: "create_sandbox", Description: "Start a sandbox and return its ID."}, handle(t.create))
	protocol.AddTool(server, &protocol.Tool{
		Name: "list_sandboxes", Description: "List the team's sandboxes, running and paused.", Annotations: &protocol.ToolAnnotations{ReadOnlyHint: true},
	}, handle(t.list))
	protocol.AddTool(server, &protocol.Tool{Name: "pause_sandbox", Description: "Pause a sandbox and keep its memory and files.", Annotations: harmless()}, handle(t.pause))
	protocol.AddTool(server, &protocol.Tool{Name: "resume_sandbox", Description: "Resume a paused sandbox.", Annotations: harmless()}, handle(t.resume))
	protocol.AddTool(server, &protocol.Tool{Name: "fork_sandbox", Description: "Make copies of a running sandbox, with its memory, processes and files.", Annotations: harmless()}, handle(t.fork))
	protocol.AddTool(server, &protocol.Tool{Name: "kill_sandbox", Description: "Kill a sandbox, running or paused, and delete its files."}, handle(t.kill))
}

// harmless tells that a tool takes nothing away.
func harmless() *protocol.ToolAnnotations {
	no := false
	return &protocol.ToolAnnotations{DestructiveHint: &no}
}

// handle makes a tool's handler of a function; its error is the tool's answer.
func handle[In, Out any](do func(context.Context, In) (Out, error)) protocol.ToolHandlerFor[In, Out] {
	return func(ctx context.Context, _ *protocol.CallToolRequest, input In) (*protocol.CallToolResult, Out, error) {
		output, err := do(ctx, input)
		return nil, output, err
	}
}

// path is the path of an action on a sandbox. An ID is checked before: an empty one would
// name the whole list.
func path(id, action string) (string, error) {
	if id == "" {
		return "", errors.New("sandbox_id is empty")
	}
	return "/sandboxes/" + url.PathEscape(id) + action, nil
}

// seconds checks a time to live.
func seconds(wanted int) (int, error) {
	switch {
	case wanted == 0:
		return defaultTimeoutSeconds, nil
	case wanted < 0:
		return 0, fmt.Errorf("timeout_seconds is %d; it is at least 1", wanted)
	}
	return wanted, nil
}

func (t tools) create(ctx context.Context, in createInput) (made sandboxAnswer, err error) {
	body := map[string]any{"templateID": "base", "secure": true, "autoPause": in.PauseAtEnd, "allow_internet_access": !in.WithoutInternet}
	if in.Template != "" {
		body["templateID"] = in.Template
	}
	if body["timeout"], err = seconds(in.TimeoutSeconds); err != nil {
		return made, err
	}
	if len(in.Environment) > 0 {
		body["envVars"] = in.Environment
	}
	if len(in.Metadata) > 0 {
		body["metadata"] = in.Metadata
	}
	_, err = t.api.Call(ctx, http.MethodPost, "/sandboxes", body, &made)
	return made, err
}

func (t tools) list(ctx context.Context, _ struct{}) (list, error) {
	all, err := apiclient.All[sandboxAnswer](ctx, t.api, "/v2/sandboxes", url.Values{"state": {"running,paused"}})
	if all == nil {
		all = []sandboxAnswer{}
	}
	return list{Sandboxes: all}, err
}

// act calls an action on a sandbox that answers nothing.
func (t tools) act(ctx context.Context, method, id, action string, body any, said string) (done, error) {
	to, err := path(id, action)
	if err != nil {
		return done{}, err
	}
	if _, err := t.api.Call(ctx, method, to, body, nil); err != nil {
		return done{}, err
	}
	return done{Done: fmt.Sprintf("sandbox %s is %s", id, said)}, nil
}

func (t tools) pause(ctx context.Context, in sandboxInput) (done, error) {
	return t.act(ctx, http.MethodPost, in.SandboxID, "/pause", nil, "paused")
}

func (t tools) kill(ctx context.Context, in sandboxInput) (done, error) {
	return t.act(ctx, http.MethodDelete, in.SandboxID, "", nil, "killed")
}

func (t tools) resume(ctx context.Context, in timedInput) (done, error) {
	timeout, err := seconds(in.TimeoutSeconds)
	if err != nil {
		return done{}, err
	}
	return t.act(ctx, http.MethodPost, in.SandboxID, "/resume", map[string]any{"timeout": timeout}, "running")
}

func (t tools) fork(ctx context.Context, in forkInput) (forks, error) {
	made := forks{Forks: []sandboxAnswer{}}
	timeout, err := seconds(in.TimeoutSeconds)
	if err != nil {
		return made, err
	}
	to, err := path(in.SandboxID, "/fork")
	if err != nil {
		return made, err
	}
	var answers []struct {
		Sandbox *sandboxAnswer `json:"sandbox"`
		Error   *struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if _, err := t.api.Call(ctx, http.MethodPost, to, map[string]any{"count": max(in.Count, 1), "timeout": timeout}, &answers); err != nil {
		return made, err
	}
	var failed []error
	for _, one := range answers {
		if one.Sandbox != nil {
			made.Forks = append(made.Forks, *one.Sandbox)
		} else if one.Error != nil {
			failed = append(failed, errors.New(one.Error.Message))
		}
	}
	if len(made.Forks) == 0 {
		return made, errors.Join(failed...)
	}
	return made, nil
}
