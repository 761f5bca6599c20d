package api

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"git.omukk.dev/wrenn/sandbox/templates/code-interpreter/server/internal/contexts"
	"git.omukk.dev/wrenn/sandbox/templates/code-interpreter/server/internal/kernel"
)

// wanted is the body of POST /execute.
type wanted struct {
	Code      string            `json:"code"`
	ContextID string            `json:"context_id"`
	Language  string            `json:"language"`
	Variables map[string]string `json:"env_vars"`
}

// execute runs code and streams what it does, one line of JSON an event.
func (s *Server) execute(w http.ResponseWriter, r *http.Request) {
	var of wanted
	if err := read(w, r, &of); err != nil {
		s.fail(w, err)
		return
	}
	in, err := s.contextOf(r.Context(), of)
	if err == nil {
		err = contexts.CheckVariables(of.Variables)
	}
	if err != nil {
		s.fail(w, err)
		return
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	lines := newLines(w)
	keeping := make(chan struct{})
	go func() {
		defer close(keeping)
		lines.keepAlive(ctx, cancel)
	}()
	err = in.Execute(ctx, of.Code, of.Variables, s.contexts.Environment, s.log, lines.emit)
	cancel(nil)
	<-keeping
	switch {
	case err == nil:
		lines.begin()
	case !lines.begun():
		s.fail(w, err)
	case errors.Is(err, context.Canceled):
		s.log.InfoContext(ctx, "a client left before its code had ended", "context", in.ID)
	default:
		s.log.WarnContext(ctx, "a run ended early", "context", in.ID, "error", err)
	}
}

// contextOf returns the context that a request names, or that of its language.
func (s *Server) contextOf(ctx context.Context, of wanted) (*contexts.Context, error) {
	switch {
	case of.ContextID != "" && of.Language != "":
		return nil, &contexts.BadRequestError{Message: "Only one of context_id or language can be provided"}
	case of.ContextID != "":
		return s.contexts.Get(of.ContextID)
	}
	return s.contexts.Default(ctx, of.Language)
}

const (
	// writeTimeout is how long a client may take no line. It then counts as gone.
	writeTimeout = 30 * time.Second
	// keepAliveInterval is between lines that show a client, and what is in between,
	// that the code still runs. SDKs leave lines of a type that they do not know out.
	keepAliveInterval = 5 * time.Second
)

// lines writes the answer.
type lines struct {
	writer  http.ResponseWriter
	control *http.ResponseController

	mu      sync.Mutex // a line at a time: from the run, and to keep the connection
	started bool
	failed  error
}

func newLines(w http.ResponseWriter) *lines {
	return &lines{writer: w, control: http.NewResponseController(w)}
}

func (l *lines) begun() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.started
}

// begin sends the headers, if nothing was sent yet.
func (l *lines) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.beginLocked()
}

func (l *lines) beginLocked() {
	if !l.started {
		l.started = true
		l.writer.Header().Set("Content-Type", "application/json")
		l.writer.WriteHeader(http.StatusOK)
	}
}

func (l *lines) emit(event kernel.Event) error {
	line, err := encode(event)
	if err != nil {
		return err
	}
	return l.write(line)
}

func (l *lines) write(line []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		return l.failed
	}
	// Not every writer of a test has deadlines; those of connections do.
	if err := l.control.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		l.failed = err
		return err
	}
	l.beginLocked()
	_, err := l.writer.Write(line)
	if err == nil {
		err = l.control.Flush()
	}
	l.failed = err
	return err
}

// keepAlive writes lines that mean nothing until ctx ends.
func (l *lines) keepAlive(ctx context.Context, cancel context.CancelCauseFunc) {
	ticker := time.NewTicker(keepAliveInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := l.write([]byte(`{"type":"keepalive"}` + "\n")); err != nil {
				cancel(err)
				return
			}
		}
	}
}
