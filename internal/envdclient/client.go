// Package envdclient is the host's client of envd's internal routes, which prepare a guest
// for a snapshot and for its next life. A guest's answers are not trusted: only status
// codes count, and bodies are bounded.
package envdclient

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

// Port is the port on which envd listens in every guest.
const Port = sandbox.AgentPort

// SecretHeader carries the host's secret. Clients send their own credential to the edge in
// a header of the same name, which the edge removes.
const SecretHeader = "X-Access-Token"

const (
	// maxErrorBytes is how much of a guest's error text is kept.
	maxErrorBytes = 512
	// maxHeaderBytes bounds the headers of a guest's answers.
	maxHeaderBytes = 64 << 10
)

// Init is what a guest's agent is told after a boot or a restore.
type Init struct {
	// Secret is what the agent requires from now on, instead of the one before. It is the
	// host's own and no client's credential.
	Secret string `json:"accessToken,omitempty"`
	// EnvVars are set for every command and replace those before; nil leaves those.
	EnvVars map[string]string `json:"envVars,omitzero"`
	// Timestamp sets the guest's clock.
	Timestamp time.Time `json:"timestamp"`
	// LifecycleID is another one with every start.
	LifecycleID string `json:"lifecycleID,omitempty"`
	// RandomSeed makes the guest's random numbers differ from those of other guests of
	// its snapshot. It is secret, and set by Client.Init.
	RandomSeed []byte `json:"randomSeed,omitempty"`
	// DefaultUser runs commands whose caller names no user.
	DefaultUser string `json:"defaultUser,omitempty"`
	// Workdir is where commands start whose caller names no directory; empty leaves it.
	Workdir string `json:"defaultWorkdir,omitempty"`
	// CABundle are the certificates that every program of the guest trusts, in PEM.
	CABundle string `json:"caBundle,omitempty"`
	// VolumeMounts are all volumes that the guest mounts; nil leaves those that it has.
	VolumeMounts []VolumeMount `json:"volumeMounts,omitzero"`
}

// VolumeMount is a directory of an NFS server and its path in the guest.
type VolumeMount struct {
	Target string `json:"nfs_target"` // server:/directory
	Path   string `json:"path"`       // absolute
}

// Client talks to one guest's envd.
type Client struct {
	base            string
	client          *http.Client
	longestClockLag time.Duration
}

// New returns a client of the envd in the guest at address.
func New(address netip.Addr) *Client {
	transport := &http.Transport{
		DialContext:       (&net.Dialer{Timeout: dialTimeout}).DialContext,
		DisableKeepAlives: true, // an idle connection would be frozen into a snapshot

		MaxResponseHeaderBytes: maxHeaderBytes,
	}
	return &Client{
		base:            fmt.Sprintf("http://%s", netip.AddrPortFrom(address, Port)),
		longestClockLag: longestClockLag,
		client: &http.Client{
			Transport: transport,
			// A guest must not make its host call another address.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// BaseURL and HTTPClient serve callers of envd's RPC services.
func (c *Client) BaseURL() string { return c.base }

// HTTPClient dials with the same short timeout and keeps no connection.
func (c *Client) HTTPClient() *http.Client { return c.client }

const (
	// dialTimeout gives a guest on a busy host time to answer, and bounds the wait for an
	// answer to a packet that was sent before the guest's network was up.
	dialTimeout = time.Second
	retryEvery  = 5 * time.Millisecond
)

// AwaitHealthy waits until envd answers, or ctx ends.
func (c *Client) AwaitHealthy(ctx context.Context) error {
	return retry(ctx, func() error { return c.call(ctx, http.MethodGet, "/health", "", nil) })
}

const (
	// MaxClockLag is how late a guest's clock may be because a message took so long, which
	// is some milliseconds on KVM. Above it the guest should be told the time again.
	MaxClockLag = 250 * time.Millisecond
	// longestClockLag is the most that a guest's user should see: above it Init tells the
	// time again at once, up to clockAttempts times.
	longestClockLag = time.Second
	clockAttempts   = 3
)

// seedBytes is the length of a seed for envd.
const seedBytes = 32

// Init gives the guest its identity, the time and a random seed. knownSecret is the one
// that the guest was told before, empty for a template's first. It is repeated until the
// guest answers, which may not listen yet. If that took too long, the guest is told the
// time again. Init returns by how much the guest's clock may be late.
func (c *Client) Init(ctx context.Context, knownSecret string, settings Init) (lag time.Duration, err error) {
	settings.RandomSeed = make([]byte, seedBytes)
	if _, err := rand.Read(settings.RandomSeed); err != nil {
		return 0, fmt.Errorf("draw a seed for the guest: %w", err)
	}
	lag, err = c.tell(ctx, knownSecret, settings)
	if settings.Secret != "" {
		knownSecret = settings.Secret
	}
	for attempt := 1; err == nil && lag > c.longestClockLag && attempt < clockAttempts; attempt++ {
		lag, err = c.TellTime(ctx, knownSecret, settings.LifecycleID)
	}
	return lag, err
}

// TellTime tells a guest the time, in the life that it has. It returns by how much the
// guest's clock may be late.
func (c *Client) TellTime(ctx context.Context, secret, lifecycleID string) (lag time.Duration, err error) {
	return c.tell(ctx, secret, Init{LifecycleID: lifecycleID})
}

// tell returns how long ago the message was sent that the guest has answered.
func (c *Client) tell(ctx context.Context, knownSecret string, settings Init) (time.Duration, error) {
	err := retry(ctx, func() error {
		settings.Timestamp = time.Now().UTC()
		return c.call(ctx, http.MethodPost, "/init", knownSecret, settings)
	})
	return time.Since(settings.Timestamp), err
}

// Freeze stops every command of the guest's users and waits up to maxWait until none runs.
// A guest that cannot do it runs on, which is no error.
func (c *Client) Freeze(ctx context.Context, secret string, maxWait time.Duration) error {
	path := fmt.Sprintf("/freeze?maxWaitMs=%d", maxWait.Milliseconds())
	return tolerateInability(retry(ctx, func() error { return c.call(ctx, http.MethodPost, path, secret, nil) }))
}

// tolerateInability makes the answer of a guest that cannot stop its commands, or whose
// agent is too old for it, a success.
func tolerateInability(err error) error {
	var answered *StatusError
	if errors.As(err, &answered) && (answered.Status == http.StatusServiceUnavailable || answered.Status == http.StatusNotFound) {
		return nil
	}
	return err
}

// Unfreeze lets the commands of the guest's users run on. A guest that could
// not stop them needs no letting.
func (c *Client) Unfreeze(ctx context.Context, secret string) error {
	return tolerateInability(retry(ctx, func() error { return c.call(ctx, http.MethodPost, "/unfreeze", secret, nil) }))
}

// FreezeFilesystem has the guest write out its file system and block all writes to it from
// then on, so that the disk is consistent.
func (c *Client) FreezeFilesystem(ctx context.Context, secret string) error {
	return retry(ctx, func() error { return c.call(ctx, http.MethodPost, "/fsfreeze", secret, nil) })
}

// ThawFilesystem ends FreezeFilesystem. It does nothing if the file system is not frozen.
func (c *Client) ThawFilesystem(ctx context.Context, secret string) error {
	return tolerateInability(retry(ctx, func() error { return c.call(ctx, http.MethodPost, "/fsthaw", secret, nil) }))
}

// Preparation is how envd prepares for a snapshot.
type Preparation struct {
	// KeepStreams keeps the clients of a guest that runs on; otherwise their streams end.
	KeepStreams bool
	// ForgetEnvironment drops the variables of Init until the next Init.
	ForgetEnvironment bool
}

// PrepareSnapshot quiets envd. When it returns, the guest can be paused.
func (c *Client) PrepareSnapshot(ctx context.Context, secret string, how Preparation) error {
	path := fmt.Sprintf("/snapshot/prepare?keepStreams=%t&forgetEnvironment=%t", how.KeepStreams, how.ForgetEnvironment)
	return retry(ctx, func() error { return c.call(ctx, http.MethodPost, path, secret, nil) })
}

// StatusError is an answer other than success.
type StatusError struct {
	Path    string
	Status  int
	Message string
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("envd answered %s with status %d: %s", e.Path, e.Status, e.Message)
}

func (c *Client) call(ctx context.Context, method, path, secret string, body any) error {
	var content io.Reader = http.NoBody
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encode %s: %w", path, err)
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, content)
	if err != nil {
		return fmt.Errorf("call %s: %w", path, err)
	}
	request.Header.Set("Content-Type", "application/json")
	if secret != "" {
		request.Header.Set(SecretHeader, secret)
	}
	response, err := c.client.Do(request)
	if err != nil {
		return fmt.Errorf("call envd: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode >= 200 && response.StatusCode < 300 {
		return nil
	}
	message, _ := io.ReadAll(io.LimitReader(response.Body, maxErrorBytes))
	return &StatusError{Path: path, Status: response.StatusCode, Message: strings.ToValidUTF8(string(message), "")}
}

// retry repeats a call while the guest cannot be reached: a busy one may not accept a
// connection in time. Any answer is final. All calls are idempotent.
func retry(ctx context.Context, call func() error) error {
	ticker := time.NewTicker(retryEvery)
	defer ticker.Stop()
	for {
		err := call()
		var answered *StatusError
		if err == nil || errors.As(err, &answered) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (last: %w)", context.Cause(ctx), err)
		case <-ticker.C:
		}
	}
}
