package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"git.omukk.dev/wrenn/sandbox/test/e2e/guest"
	"git.omukk.dev/wrenn/sandbox/test/e2e/installation"
)

// command is the first command in a sandbox, on both sides.
const (
	command       = "echo ready"
	commandOutput = "ready\n"
)

// sandbox is a sandbox that was created through the API.
type sandbox struct {
	wrenn *installation.Installation
	ID    string `json:"sandboxID"`
	Token string `json:"envdAccessToken"`
}

func createSandbox(ctx context.Context, wrenn *installation.Installation) (*sandbox, error) {
	return createFrom(ctx, wrenn, "base")
}

func createFrom(ctx context.Context, wrenn *installation.Installation, template string) (*sandbox, error) {
	s := &sandbox{wrenn: wrenn}
	err := s.call(ctx, http.MethodPost, "/v2/sandboxes", fmt.Sprintf(`{"templateID":%q,"timeout":600}`, template), http.StatusCreated, s)
	return s, err
}

// call sends a request to the API and decodes its answer, unless into is nil.
func (s *sandbox) call(ctx context.Context, method, path, body string, wantStatus int, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, s.wrenn.URL()+path, bytes.NewBufferString(body))
	if err != nil {
		return err
	}
	request.Header.Set("X-API-Key", s.wrenn.APIKey)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != wantStatus {
		return fmt.Errorf("%s %s is %s: %s", method, path, response.Status, answer)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}

func (s *sandbox) kill(ctx context.Context) error {
	return s.call(context.WithoutCancel(ctx), http.MethodDelete, "/sandboxes/"+s.ID, "", http.StatusNoContent, nil)
}

// agent is a client of the guest agent through the control plane.
func (s *sandbox) agent() *guest.Agent {
	return &guest.Agent{Client: http.DefaultClient, BaseURL: s.wrenn.URL(), Header: http.Header{
		"E2b-Sandbox-Id":   {s.ID},
		"E2b-Sandbox-Port": {strconv.Itoa(guest.AgentPort)},
		"X-Access-Token":   {s.Token},
	}}
}

// straightAgent is a client of the guest agent in the guest's network, without the
// control plane.
func (s *sandbox) straightAgent() (*guest.Agent, error) {
	process, err := machineOf(s.wrenn, s.ID)
	if err != nil {
		return nil, err
	}
	return &guest.Agent{
		Client: clientInside(fmt.Sprintf("/proc/%d/ns/net", process.id)), BaseURL: agentURL(),
		Header: http.Header{"X-Access-Token": {process.secret}},
	}, nil
}

// measureWrenn is one round through the API.
func measureWrenn(ctx context.Context, wrenn *installation.Installation, commands int, into *measurements) (err error) {
	began := time.Now()
	s, err := createSandbox(ctx, wrenn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.kill(ctx)) }()
	into.createAnswered = append(into.createAnswered, time.Since(began))
	if err := firstCommand(ctx, s.agent()); err != nil {
		return err
	}
	into.createByWrenn = append(into.createByWrenn, time.Since(began))
	if err := measureCommands(ctx, s, commands, into); err != nil {
		return err
	}

	began = time.Now()
	if err := s.call(ctx, http.MethodPost, "/sandboxes/"+s.ID+"/pause", "{}", http.StatusNoContent, nil); err != nil {
		return err
	}
	into.pauseByWrenn = append(into.pauseByWrenn, time.Since(began))
	began = time.Now()
	if err := s.call(ctx, http.MethodPost, "/sandboxes/"+s.ID+"/resume", `{"timeout":600}`, http.StatusCreated, nil); err != nil {
		return err
	}
	if err := firstCommand(ctx, s.agent()); err != nil {
		return err
	}
	into.resumeByWrenn = append(into.resumeByWrenn, time.Since(began))
	return nil
}

// measureCreate is one create through the API up to its first output.
func measureCreate(ctx context.Context, wrenn *installation.Installation, into *[]time.Duration) (err error) {
	began := time.Now()
	s, err := createSandbox(ctx, wrenn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.kill(ctx)) }()
	if err := firstCommand(ctx, s.agent()); err != nil {
		return err
	}
	*into = append(*into, time.Since(began))
	return nil
}

func firstCommand(ctx context.Context, agent *guest.Agent) error {
	result, err := agent.Run(ctx, command)
	if err != nil {
		return err
	}
	if string(result.Stdout) != commandOutput {
		return fmt.Errorf("%q printed %q", command, result.Stdout)
	}
	return nil
}

// measureCommands runs the same command straight and through Wrenn in turns, in one
// sandbox that has run it before.
func measureCommands(ctx context.Context, s *sandbox, count int, into *measurements) error {
	straight, err := s.straightAgent()
	if err != nil {
		return err
	}
	defer straight.Client.CloseIdleConnections()
	if err := firstCommand(ctx, straight); err != nil {
		return fmt.Errorf("straight to the guest agent: %w", err)
	}
	for range count {
		for _, side := range []struct {
			agent *guest.Agent
			times *[]time.Duration
		}{{straight, &into.commandStraight}, {s.agent(), &into.commandByWrenn}} {
			began := time.Now()
			if err := firstCommand(ctx, side.agent); err != nil {
				return err
			}
			*side.times = append(*side.times, time.Since(began))
		}
	}
	return nil
}

func optionValue(arguments []string, option string) string {
	for i := range len(arguments) - 1 {
		if arguments[i] == option {
			return arguments[i+1]
		}
	}
	return ""
}
