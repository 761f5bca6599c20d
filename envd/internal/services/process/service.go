// Package process runs commands for clients, any number of which can follow a process,
// write to it and signal it.
package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"

	pb "git.omukk.dev/wrenn/sandbox/envd/gen/process"
	"git.omukk.dev/wrenn/sandbox/envd/gen/process/processconnect"
	"git.omukk.dev/wrenn/sandbox/envd/internal/settings"
	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/id"
	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/smap"
	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/utils"
)

// Service implements process.Process.
type Service struct {
	settings *settings.Settings
	launcher launcher
	log      *slog.Logger

	children smap.Map[id.Process, *child]

	suspension suspension
}

var _ processconnect.ProcessHandler = (*Service)(nil)

// New returns a service without processes.
func New(settings *settings.Settings, groups Groups, log *slog.Logger) *Service {
	return &Service{
		settings: settings, launcher: launcher{groups: groups, protection: &protection{}},
		log: log, suspension: suspension{streams: make(map[chan struct{}]struct{})},
	}
}

// List returns the running processes in order of their numbers.
func (s *Service) List(context.Context, *connect.Request[pb.ListRequest]) (*connect.Response[pb.ListResponse], error) {
	response := &pb.ListResponse{}
	for _, c := range s.children.Values() {
		response.Processes = append(response.Processes, &pb.ProcessInfo{Config: c.config, Pid: uint32(c.pid), Tag: c.tag})
	}
	slices.SortFunc(response.Processes, func(a, b *pb.ProcessInfo) int { return cmp.Compare(a.GetPid(), b.GetPid()) })
	return connect.NewResponse(response), nil
}

// Start runs a command and follows it. The command is killed at the request's deadline, and
// runs on if the client disconnects before.
func (s *Service) Start(ctx context.Context, request *connect.Request[pb.StartRequest], stream *connect.ServerStream[pb.StartResponse]) error {
	left, err := s.suspension.enter()
	if err != nil {
		return err
	}
	defer left()
	user, err := s.settings.Caller(request.Header())
	if err != nil {
		return callerError(err)
	}
	environment, err := s.settings.Env(ctx)
	if err != nil {
		return err
	}
	command, err := buildCommand(request.Msg, user, environment, s.settings.Workdir())
	if err != nil {
		return connect.NewError(connect.CodeInvalidArgument, err)
	}
	c, subscription, err := s.launcher.start(command, request.Msg)
	if err != nil {
		return startError(request.Msg.GetProcess().GetCmd(), err)
	}
	command.Env = nil // no copy of the host's variables stays in memory
	deadline, _ := ctx.Deadline()
	s.add(c, deadline)
	s.suspendLate(c)
	s.log.DebugContext(ctx, "process started", "pid", c.pid, "user", user.Name)
	send := func(event *pb.ProcessEvent) error { return stream.Send(&pb.StartResponse{Event: event}) }
	err = follow(ctx, c, subscription, utils.KeepaliveInterval(request.Header()), send)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return connect.NewError(connect.CodeDeadlineExceeded, errors.New("the command's time is up; it was killed"))
	}
	return err
}

// Connect follows a running process.
func (s *Service) Connect(ctx context.Context, request *connect.Request[pb.ConnectRequest], stream *connect.ServerStream[pb.ConnectResponse]) error {
	left, err := s.suspension.enter()
	if err != nil {
		return err
	}
	defer left()
	c, err := s.find(request.Msg.GetProcess())
	if err != nil {
		return err
	}
	send := func(event *pb.ProcessEvent) error { return stream.Send(&pb.ConnectResponse{Event: event}) }
	subscription := c.output.subscribe()
	s.suspendLate(c)
	return follow(ctx, c, subscription, utils.KeepaliveInterval(request.Header()), send)
}

// follow sends a process's events until it ends, the client disconnects or falls behind.
func follow(ctx context.Context, c *child, events *subscription, keepAlive time.Duration, send func(*pb.ProcessEvent) error) error {
	defer events.cancel()
	started := &pb.ProcessEvent{Event: &pb.ProcessEvent_Start{Start: &pb.ProcessEvent_StartEvent{Pid: uint32(c.pid)}}}
	if err := send(started); err != nil {
		return err
	}
	ping := time.NewTicker(keepAlive)
	defer ping.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ping.C:
			if err := send(&pb.ProcessEvent{Event: &pb.ProcessEvent_Keepalive{Keepalive: &pb.ProcessEvent_KeepAlive{}}}); err != nil {
				return err
			}
			continue
		case <-events.wake:
		}
		batch, err := events.take()
		if errors.Is(err, errSuspended) {
			return connect.NewError(connect.CodeUnavailable, err)
		}
		if err != nil {
			return connect.NewError(connect.CodeResourceExhausted, err)
		}
		for _, event := range batch {
			if err := send(event); err != nil {
				return err
			}
			if event.GetEnd() != nil {
				return nil
			}
		}
	}
}

// Update resizes a terminal.
func (s *Service) Update(_ context.Context, request *connect.Request[pb.UpdateRequest]) (*connect.Response[pb.UpdateResponse], error) {
	c, err := s.find(request.Msg.GetProcess())
	if err != nil {
		return nil, err
	}
	if size := request.Msg.GetPty().GetSize(); size != nil {
		if err := c.resize(size); err != nil {
			return nil, inputError(err)
		}
	}
	return connect.NewResponse(&pb.UpdateResponse{}), nil
}

// SendInput writes to stdin or the terminal.
func (s *Service) SendInput(ctx context.Context, request *connect.Request[pb.SendInputRequest]) (*connect.Response[pb.SendInputResponse], error) {
	c, err := s.find(request.Msg.GetProcess())
	if err != nil {
		return nil, err
	}
	if err := c.write(ctx, request.Msg.GetInput()); err != nil {
		return nil, inputError(err)
	}
	return connect.NewResponse(&pb.SendInputResponse{}), nil
}

// StreamInput writes the messages of a client to a process, in order.
func (s *Service) StreamInput(ctx context.Context, stream *connect.ClientStream[pb.StreamInputRequest]) (*connect.Response[pb.StreamInputResponse], error) {
	var c *child
	for stream.Receive() {
		switch event := stream.Msg().GetEvent().(type) {
		case *pb.StreamInputRequest_Start:
			found, err := s.find(event.Start.GetProcess())
			if err != nil {
				return nil, err
			}
			c = found
		case *pb.StreamInputRequest_Data:
			if c == nil {
				return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("data came before start named a process"))
			}
			if err := c.write(ctx, event.Data.GetInput()); err != nil {
				return nil, inputError(err)
			}
		case *pb.StreamInputRequest_Keepalive:
		default:
			return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("the message holds no event"))
		}
	}
	if err := stream.Err(); err != nil {
		return nil, err
	}
	return connect.NewResponse(&pb.StreamInputResponse{}), nil
}

// SendSignal signals a process and its process group.
func (s *Service) SendSignal(_ context.Context, request *connect.Request[pb.SendSignalRequest]) (*connect.Response[pb.SendSignalResponse], error) {
	c, err := s.find(request.Msg.GetProcess())
	if err != nil {
		return nil, err
	}
	switch signal := request.Msg.GetSignal(); signal {
	case pb.Signal_SIGNAL_SIGKILL:
		err = c.signal(unix.SIGKILL)
	case pb.Signal_SIGNAL_SIGTERM:
		err = c.signal(unix.SIGTERM)
	default:
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("signal %d is not supported", signal))
	}
	if errors.Is(err, errEnded) {
		return nil, connect.NewError(connect.CodeNotFound, err)
	}
	if err != nil {
		return nil, connect.NewError(connect.CodeInternal, err)
	}
	return connect.NewResponse(&pb.SendSignalResponse{}), nil
}

// CloseStdin closes stdin.
func (s *Service) CloseStdin(ctx context.Context, request *connect.Request[pb.CloseStdinRequest]) (*connect.Response[pb.CloseStdinResponse], error) {
	c, err := s.find(request.Msg.GetProcess())
	if err != nil {
		return nil, err
	}
	if err := c.closeStdin(ctx); err != nil {
		return nil, inputError(err)
	}
	return connect.NewResponse(&pb.CloseStdinResponse{}), nil
}

// add registers a child until it ends, and kills it at its deadline. A zero deadline means
// none.
func (s *Service) add(c *child, deadline time.Time) {
	s.children.Store(c.pid, c)
	go func() {
		var timeUp <-chan time.Time
		if !deadline.IsZero() {
			timer := time.NewTimer(time.Until(deadline))
			defer timer.Stop()
			timeUp = timer.C
		}
		select {
		case <-c.done:
		case <-timeUp:
			s.kill(c)
			<-c.done
		}
		<-c.output.awaitUnheld()                                                      // a client may reconnect for its end
		s.children.DeleteIf(c.pid, func(current *child) bool { return current == c }) // else another child has its number by now
	}()
}

func (s *Service) kill(c *child) {
	if err := c.signal(unix.SIGKILL); err != nil && !errors.Is(err, errEnded) {
		s.log.Error("kill a process whose time is up", "pid", c.pid, "error", err)
	}
}

func (s *Service) find(selector *pb.ProcessSelector) (*child, error) {
	switch by := selector.GetSelector().(type) {
	case *pb.ProcessSelector_Pid:
		if c, found := s.children.Load(id.Process(by.Pid)); found {
			return c, nil
		}
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("no process has PID %d", by.Pid))
	case *pb.ProcessSelector_Tag:
		for _, c := range s.children.Values() {
			if c.tag != nil && *c.tag == by.Tag {
				return c, nil
			}
		}
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("no process has tag %q", by.Tag))
	default:
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("the request names no process"))
	}
}
