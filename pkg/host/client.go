// Package host talks to host agents: it maps their messages to the domain's types
// (message.go) and their errors to faults (refusal.go).
package host

import (
	"context"
	"net"
	"net/http"

	"connectrpc.com/connect"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/gen/hostagent/v1/hostagentv1connect"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

// Sandbox is what a host says of a sandbox.
type Sandbox struct {
	ID          string
	State       sandbox.State
	VCPUCount   int32
	MemoryMiB   int32
	DiskMiB     int32
	EnvdVersion string
	// Reason is why a sandbox is gone or has failed, for people.
	Reason string
	// Usage is up to the last second; of a sandbox that is gone, up to its end.
	Usage Usage
	// GuestUnresponsive is set for a paused sandbox that can only be resumed without memory.
	GuestUnresponsive bool
	// SecretsRevision is of the secrets that it holds; empty for none.
	SecretsRevision string
}

// Template is one build that a host has.
type Template struct {
	BuildID     string
	Name        string
	VCPUCount   int32
	MemoryMiB   int32
	DiskMiB     int32
	EnvdVersion string
	// MadeBy is what the host must be to start it.
	MadeBy sandbox.Maker
}

// Info describes a host.
type Info struct {
	Version          string
	Driver           string
	Accelerator      string
	CPUCount         int32
	MemoryTotalBytes int64
	DiskTotalBytes   int64
	// MemoryAvailableBytes and DiskAvailableBytes are measured by the host.
	MemoryAvailableBytes int64
	DiskAvailableBytes   int64
	Load                 Load
	// SigningKeyID is of the key that signs identity tokens; empty for none.
	SigningKeyID string
}

// Creation is a sandbox to be created, with what is not stored of it.
type Creation struct {
	// Sandbox is as it is stored, but with the values of its network's rules.
	Sandbox sandbox.Sandbox
	EnvVars map[string]string
	Secrets sandbox.Secrets
	// Size is another than the build's; the zero value is the build's own.
	Size Size
}

// Size is that of a sandbox. What is zero is as the build has it.
type Size struct{ VCPUCount, MemoryMiB, DiskMiB int32 }

// Client calls one host agent.
type Client struct {
	rpc       hostagentv1connect.HostAgentClient
	builder   hostagentv1connect.BuilderClient
	transport *http.Transport
	address   string // the host's URL
}

// NewClient makes a client of the host agent that listens on a Unix socket. It connects
// with the first call, and again after the connection has broken.
func NewClient(socket string) *Client {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{
		Protocols: protocols,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}
	const address = "http://host-agent.invalid"
	return newClient(transport, address)
}

func newClient(transport *http.Transport, address string) *Client {
	calls := &http.Client{Transport: transport}
	return &Client{
		rpc:     hostagentv1connect.NewHostAgentClient(calls, address, sendRequest),
		builder: hostagentv1connect.NewBuilderClient(calls, address, sendRequest), transport: transport, address: address,
	}
}

// Close closes idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Info returns what the host is.
func (c *Client) Info(ctx context.Context) (Info, error) {
	response, err := c.rpc.GetInfo(ctx, connect.NewRequest(&pb.GetInfoRequest{}))
	if err != nil {
		return Info{}, translate("ask a host what it is", err)
	}
	m := response.Msg
	return Info{
		Version: m.Version, Driver: m.Driver, Accelerator: m.Accelerator, CPUCount: int32(m.CpuCount),
		MemoryTotalBytes: int64(m.MemoryTotalBytes), DiskTotalBytes: int64(m.DiskTotalBytes),
		MemoryAvailableBytes: int64(m.MemoryAvailableBytes), DiskAvailableBytes: int64(m.DiskAvailableBytes),
		Load: fromLoad(m), SigningKeyID: m.SigningKeyId,
	}, nil
}

// ListTemplates returns the builds that the host has.
func (c *Client) ListTemplates(ctx context.Context) ([]Template, error) {
	response, err := c.rpc.ListTemplates(ctx, connect.NewRequest(&pb.ListTemplatesRequest{}))
	if err != nil {
		return nil, translate("list a host's templates", err)
	}
	templates := make([]Template, 0, len(response.Msg.Templates))
	for _, t := range response.Msg.Templates {
		templates = append(templates, fromTemplate(t))
	}
	return templates, nil
}

// CreateSandbox creates a sandbox and returns when it runs.
func (c *Client) CreateSandbox(ctx context.Context, creation Creation) (Sandbox, error) {
	response, err := repeat(ctx, c.rpc.CreateSandbox, toCreation(creation))
	if err != nil {
		return Sandbox{}, translate("create sandbox "+creation.Sandbox.ID, err)
	}
	return fromSandbox(response.Msg.Sandbox), nil
}

// PauseSandbox pauses a sandbox and returns when the pause is durable.
func (c *Client) PauseSandbox(ctx context.Context, sandboxID string, wanted sandbox.Pause) (Sandbox, error) {
	response, err := repeat(ctx, c.rpc.PauseSandbox, &pb.PauseSandboxRequest{
		SandboxId: sandboxID, WithoutMemory: wanted.WithoutMemory, RequireHealthyGuest: wanted.RequireHealthyGuest,
		RequestId: newRequestID(),
	})
	if err != nil {
		return Sandbox{}, translate("pause sandbox "+sandboxID, err)
	}
	return fromSandbox(response.Msg.Sandbox), nil
}

// Resumption is how a sandbox is to be resumed.
type Resumption struct {
	// WithoutMemory boots it from its disk, with EnvVars where its host's record has none.
	WithoutMemory bool
	EnvVars       map[string]string
	// Isolation is what the host must give; empty is any.
	Isolation sandbox.Isolation
}

// ResumeSandbox resumes a paused sandbox.
func (c *Client) ResumeSandbox(ctx context.Context, sandboxID string, wanted Resumption) (Sandbox, error) {
	response, err := repeat(ctx, c.rpc.ResumeSandbox, &pb.ResumeSandboxRequest{
		SandboxId: sandboxID, Identity: toIdentity(wanted.EnvVars), RequestId: newRequestID(), WithoutMemory: wanted.WithoutMemory,
		Isolation: string(wanted.Isolation),
	})
	if err != nil {
		return Sandbox{}, translate("resume sandbox "+sandboxID, err)
	}
	return fromSandbox(response.Msg.Sandbox), nil
}

// KillSandbox kills a sandbox. It succeeds where the host does not have it.
func (c *Client) KillSandbox(ctx context.Context, sandboxID string) error {
	_, err := repeat(ctx, c.rpc.KillSandbox, &pb.KillSandboxRequest{SandboxId: sandboxID, RequestId: newRequestID()})
	return unlessAbsent(translate("kill sandbox "+sandboxID, err))
}

// GetSandbox returns what the host says of one sandbox.
func (c *Client) GetSandbox(ctx context.Context, sandboxID string) (Sandbox, error) {
	response, err := c.rpc.GetSandbox(ctx, connect.NewRequest(&pb.GetSandboxRequest{SandboxId: sandboxID}))
	if err != nil {
		return Sandbox{}, translate("look up sandbox "+sandboxID, err)
	}
	return fromSandbox(response.Msg.Sandbox), nil
}

// ListSandboxes returns all sandboxes of the host.
func (c *Client) ListSandboxes(ctx context.Context) ([]Sandbox, error) {
	response, err := c.rpc.ListSandboxes(ctx, connect.NewRequest(&pb.ListSandboxesRequest{}))
	if err != nil {
		return nil, translate("list a host's sandboxes", err)
	}
	sandboxes := make([]Sandbox, 0, len(response.Msg.Sandboxes))
	for _, s := range response.Msg.Sandboxes {
		sandboxes = append(sandboxes, fromSandbox(s))
	}
	return sandboxes, nil
}

// WatchSandboxes calls changed for every sandbox of the host and then for each that
// changes, until ctx ends or the connection breaks. It returns nil where the host agent
// ends the stream because it shuts down.
func (c *Client) WatchSandboxes(ctx context.Context, changed func(Sandbox)) error {
	stream, err := c.rpc.WatchSandboxes(ctx, connect.NewRequest(&pb.WatchSandboxesRequest{}))
	if err != nil {
		return translate("watch a host's sandboxes", err)
	}
	defer stream.Close()
	for stream.Receive() {
		changed(fromSandbox(stream.Msg().Sandbox))
	}
	if err := stream.Err(); ctx.Err() != nil || connect.CodeOf(err) != connect.CodeCanceled {
		return translate("watch a host's sandboxes", err)
	}
	return nil
}
