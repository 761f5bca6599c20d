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

	"golang.org/x/sync/errgroup"

	"git.omukk.dev/wrenn/sandbox/gen/hostagent/hostagentconnect"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
)

// services are the agent's HTTP servers, each on a socket of its own.
type services struct {
	endpoints []endpoint
	// certifier is nil where this machine has joined no fleet.
	certifier *certifier
}

type endpoint struct {
	name     string
	listener net.Listener
	server   *http.Server
}

// shutdownTimeout is how long requests under way may take to end.
const shutdownTimeout = 10 * time.Second

// listen opens both sockets, and the address of a host that has joined a fleet.
// Until here nobody can reach the agent.
func (a *agent) listen(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.Handle(hostagentconnect.NewHostAgentHandler(&server{
		sandboxes: a.sandbox, driver: a.driver, version: a.config.Version, storageDir: a.storage.Dir, volumes: a.volumes,
	}))
	mux.Handle(host.VolumePrefix, a.volumes)
	traffic := &traffic{sandboxes: a.sandbox, forwarder: a.traffic, log: a.config.Log}
	a.services = &services{}
	for _, open := range []struct {
		name, path string
		handler    http.Handler
	}{
		{"rpc", a.config.RPCSocket, mux},
		{"traffic", a.config.TrafficSocket, traffic},
	} {
		listener, err := listenUnix(ctx, open.path, a.config.SocketGID)
		if err != nil {
			return err
		}
		a.onTearDown(func() error { return closeListener(listener) })
		a.services.endpoints = append(a.services.endpoints, endpoint{
			name: open.name, listener: listener, server: newServer(open.handler, a.config.Log),
		})
	}
	return a.listenRemote(ctx, mux, traffic)
}

func newServer(handler http.Handler, log *slog.Logger) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           handler,
		Protocols:         protocols,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// serve answers until ctx ends, then lets requests under way finish.
func (s *services) serve(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	if s.certifier != nil {
		group.Go(func() error {
			s.certifier.run(ctx)
			return nil
		})
	}
	for _, e := range s.endpoints {
		group.Go(func() error {
			if err := e.server.Serve(e.listener); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve %s: %w", e.name, err)
			}
			return nil
		})
		group.Go(func() error {
			<-ctx.Done()
			drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
			defer cancel()
			if err := e.server.Shutdown(drain); err != nil {
				return e.server.Close() // streams do not end on their own
			}
			return nil
		})
	}
	return group.Wait()
}

// listenUnix makes a socket that only root and one group can use. A socket
// left by a crash is replaced: the data directory's lock proves nobody uses it.
func listenUnix(ctx context.Context, path string, gid int) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
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

func closeListener(listener net.Listener) error {
	if err := listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
