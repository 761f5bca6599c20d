package firecracker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/firecracker-microvm/firecracker-go-sdk/client"
	"github.com/firecracker-microvm/firecracker-go-sdk/client/models"
	"github.com/firecracker-microvm/firecracker-go-sdk/client/operations"
	openapi "github.com/go-openapi/runtime/client"

	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// api speaks to one Firecracker over its Unix socket, by the client of Firecracker's
// SDK. Parameters of calls are written as literals: those that the SDK's constructors
// make end after 30 seconds, whatever the context says.
type api struct {
	operations.ClientIface
	socket    *os.File // only a handle: await opens it
	transport *transport
	runtime   *openapi.Runtime
}

// refusal is Firecracker's answer to a request that it does not fulfil.
type refusal struct{ message string }

func (e *refusal) Error() string { return "Firecracker refuses: " + e.message }

func newAPI() *api {
	a := &api{}
	a.transport = newTransport(a.dial)
	a.runtime = openapi.New(client.DefaultHost, client.DefaultBasePath, client.DefaultSchemes)
	a.runtime.Transport = a.transport
	a.runtime.Debug = false // else variable DEBUG would have it print requests, which hold secrets
	a.ClientIface = operations.New(a.runtime, nil)
	return a
}

func (a *api) dial(ctx context.Context) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d", a.socket.Fd()))
}

// await returns once the socket in a jail takes connections. exited is closed
// if Firecracker ends first.
func (a *api) await(ctx context.Context, j *jail, exited <-chan struct{}) error {
	const retryEvery = 2 * time.Millisecond
	retry := time.NewTicker(retryEvery)
	defer retry.Stop()
	for {
		err := a.connect(ctx, j)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("connect to Firecracker: %w (last: %w)", ctx.Err(), err)
		case <-exited:
			return fmt.Errorf("connect to Firecracker: %w", vmm.ErrNotRunning)
		case <-retry.C:
		}
	}
}

func (a *api) connect(ctx context.Context, j *jail) (err error) {
	if a.socket == nil {
		if a.socket, err = j.openSocket(); err != nil {
			return err
		}
	}
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	return conn.Close()
}

// send makes a call of the SDK's whose answer has no content.
func send[P, A any](call func(P) (A, error), parameters P) error {
	_, err := call(parameters)
	return explain(err)
}

// explain makes a refusal of the errors that the SDK has for each call, which print as
// addresses.
func explain(err error) error {
	var refused interface{ GetPayload() *models.Error }
	if errors.As(err, &refused) && refused.GetPayload() != nil {
		return &refusal{message: refused.GetPayload().FaultMessage}
	}
	return err
}

func (a *api) close() {
	a.transport.CloseIdleConnections()
	if a.socket != nil {
		a.socket.Close()
	}
}
