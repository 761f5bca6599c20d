package apiclient

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"git.omukk.dev/wrenn/sandbox/gen/process/processconnect"
	"git.omukk.dev/wrenn/sandbox/internal/proxy/route"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

// Guest calls the guest agent of one sandbox, through the edge.
type Guest struct {
	url     string
	headers http.Header
}

// PausedError is returned for a sandbox that has to be resumed first.
type PausedError struct{ SandboxID string }

func (e *PausedError) Error() string {
	return fmt.Sprintf("sandbox %s is paused: resume it first", e.SandboxID)
}

// Guest looks a sandbox up and returns a client of its guest agent. It acts as a user of
// the guest; empty is the sandbox's default user.
func (a *API) Guest(ctx context.Context, sandboxID, user string) (*Guest, error) {
	var found struct {
		State           string `json:"state"`
		EnvdAccessToken string `json:"envdAccessToken"`
	}
	if _, err := a.Call(ctx, http.MethodGet, "/sandboxes/"+url.PathEscape(sandboxID), nil, &found); err != nil {
		return nil, err
	}
	if found.State == "paused" {
		return nil, &PausedError{sandboxID}
	}
	headers := http.Header{
		route.SandboxHeader:    {sandboxID},
		route.PortHeader:       {strconv.Itoa(sandbox.AgentPort)},
		route.AgentTokenHeader: {found.EnvdAccessToken},
	}
	if user != "" {
		headers.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user+":")))
	}
	return &Guest{url: strings.TrimSuffix(a.SandboxURL, "/"), headers: headers}, nil
}

// HTTP is a client that sends what the guest agent must be sent.
func (g *Guest) HTTP() *http.Client {
	return &http.Client{Transport: withHeaders{headers: g.headers, next: http.DefaultTransport}}
}

// Processes is a client of the guest agent's processes. Headers go with each call.
func (g *Guest) Processes(more http.Header) processconnect.ProcessClient {
	headers := g.headers.Clone()
	for name, values := range more {
		headers[name] = values
	}
	client := &http.Client{Transport: withHeaders{headers: headers, next: http.DefaultTransport}}
	return processconnect.NewProcessClient(client, g.url)
}

// FileURL is where a file is read and written.
func (g *Guest) FileURL(path string) string {
	return g.url + "/files?" + url.Values{"path": {path}}.Encode()
}

// withHeaders sends the same headers with every request.
type withHeaders struct {
	headers http.Header
	next    http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (w withHeaders) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	for name, values := range w.headers {
		request.Header[name] = values
	}
	return w.next.RoundTrip(request)
}
