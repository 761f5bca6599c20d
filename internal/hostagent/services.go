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
	"golang.org/x/sync/errgroup"

	"git.omukk.dev/wrenn/sandbox/gen/hostagent/v1/hostagentv1connect"
	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/httpserver"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/requestlog"
)

// services are the agent's HTTP servers, each on a socket of its own. Each answers
// from when it is opened.
type services struct {
	group  *errgroup.Group
	ctx    context.Context //nolint:containedctx // their own life: it ends when they are about to stop
	cancel context.CancelFunc
}

func newServices(ctx context.Context) *services {
	ctx, cancel := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	return &services{group: group, ctx: ctx, cancel: cancel}
}

type endpoint struct {
	name     string
	listener net.Listener
	server   *http.Server
}

// shutdownTimeout is how long requests under way may take to end.
const shutdownTimeout = 10 * time.Second

// openTraffic opens the way into the sandboxes that run.
func (a *agent) openTraffic(ctx context.Context) error {
	a.services = newServices(ctx)
	a.onTearDown(a.services.stop)
	a.way = &traffic{sandboxes: a.sandbox, forwarder: a.traffic, log: a.config.Log}
	return a.openSocket(ctx, "traffic", a.config.TrafficSocket, a.way)
}

// takeOrders opens the way for control planes: on this machine, and from the fleet
// that it has joined. It comes last, when all that they may ask for can be done.
func (a *agent) takeOrders(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.Handle(hostagentv1connect.NewHostAgentHandler(&server{
		sandboxes: a.sandbox, driver: a.driver, version: a.config.Version, storageDir: a.storage.Dir, volumes: a.volumes,
		stopping: a.services.ctx.Done(),
	}, connect.WithInterceptors(requestlog.NewInterceptor(a.config.Log))))
	mux.Handle(host.VolumePrefix, a.volumes)
	if err := a.openSocket(ctx, "rpc", a.config.RPCSocket, mux); err != nil {
		return err
	}
	_, err := a.listenRemote(ctx, mux, a.way)
	return err
}

func (a *agent) openSocket(ctx context.Context, name, path string, handler http.Handler) error {
	listener, err := listenUnix(ctx, path, a.config.SocketGID)
	if err != nil {
		return err
	}
	a.services.serve(endpoint{name: name, listener: httpserver.NewListener(listener, httpserver.Limits{}), server: newServer(handler, a.config.Log)})
	return nil
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

// serve answers at an endpoint until the services stop, then lets requests under
// way finish.
func (s *services) serve(e endpoint) {
	s.group.Go(func() error {
		if err := e.server.Serve(e.listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve %s: %w", e.name, err)
		}
		return nil
	})
	s.group.Go(func() error {
		<-s.ctx.Done()
		drain, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), shutdownTimeout)
		defer cancel()
		if err := e.server.Shutdown(drain); err != nil {
			return e.server.Close() // streams do not end on their own
		}
		return nil
	})
}

// wait returns when the services have stopped: because they were told to, or one
// of them cannot go on.
func (s *services) wait() error { return s.group.Wait() }

// stop has them stop, and says nothing that wait has not said.
func (s *services) stop() error {
	s.cancel()
	_ = s.wait()
	return nil
}

// listenUnix makes a socket that only root and one group can use. A socket
// left by a crash is replaced: the data directory's lock proves nobody uses it.
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
