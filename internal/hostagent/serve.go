package hostagent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"connectrpc.com/connect"

	"git.omukk.dev/wrenn/sandbox/gen/hostagent/v1/hostagentv1connect"
	"git.omukk.dev/wrenn/sandbox/internal/boot"
	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/httpserver"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/requestlog"
)

// shutdownTimeout is how long open requests may take to end when the agent stops.
const shutdownTimeout = 10 * time.Second

// endpoint is an HTTP server and the listener that it serves.
type endpoint struct {
	listener net.Listener
	server   *http.Server
}

// serve serves until ctx ends.
func (e endpoint) serve(ctx context.Context) error {
	return httpserver.Serve(ctx, e.server, e.listener, shutdownTimeout)
}

// serveTraffic serves the traffic socket.
func serveTraffic(ctx context.Context, config Config, guests http.Handler, parts *boot.Sequence) error {
	socket, err := openSocket(ctx, config.TrafficSocket, guests, config)
	if err != nil {
		return err
	}
	parts.Serve("serve traffic", socket.serve)
	return nil
}

// serveControlPlanes serves the control plane of this machine at the RPC socket, and
// those of the fleet that this machine has joined at its address.
func serveControlPlanes(ctx context.Context, config Config, rpc *server, builds *builds, guests http.Handler, parts *boot.Sequence) error {
	mux := http.NewServeMux()
	logged := connect.WithInterceptors(requestlog.NewInterceptor(config.Log))
	mux.Handle(hostagentv1connect.NewHostAgentHandler(rpc, logged))
	mux.Handle(hostagentv1connect.NewBuilderHandler(builds, logged))
	mux.Handle(host.VolumePrefix, rpc.volumes)
	socket, err := openSocket(ctx, config.RPCSocket, mux, config)
	if err != nil {
		return err
	}
	parts.Serve("serve the control plane", socket.serve)
	remote, err := openRemote(ctx, config, mux, guests)
	if err != nil || remote == nil {
		return err
	}
	parts.Serve("serve control planes of the fleet", remote.serve, remote.renew)
	return nil
}

func openSocket(ctx context.Context, path string, handler http.Handler, config Config) (endpoint, error) {
	listener, err := listenUnix(ctx, path, config.SocketGID)
	if err != nil {
		return endpoint{}, err
	}
	return endpoint{listener: httpserver.NewListener(listener, httpserver.Limits{}), server: newServer(handler, config.Log)}, nil
}

func newServer(handler http.Handler, log *slog.Logger) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           httpserver.Handler(handler, httpserver.Options{}),
		ConnContext:       httpserver.ConnContext,
		Protocols:         protocols,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// listenUnix makes a socket that only root and one group can use. It replaces a socket
// that a crash has left: the data directory is locked, so no other agent listens there.
func listenUnix(ctx context.Context, path string, gid int) (net.Listener, error) {
	if err := disk.RemoveIfThere(path); err != nil {
		return nil, fmt.Errorf("remove old socket: %w", err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	if err := errors.Join(os.Chown(path, 0, gid), os.Chmod(path, 0o660)); err != nil {
		return nil, errors.Join(fmt.Errorf("protect socket: %w", err), listener.Close())
	}
	return listener, nil
}
