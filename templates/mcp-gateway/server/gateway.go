package main

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// startTimeout is how long a server may take to answer: emulated guests are slow.
const startTimeout = 2 * time.Minute

// upstream is a server behind the gateway, started when it is first needed and again when
// it has ended.
type upstream struct {
	definition
	root string
	errs io.Writer

	turn    chan struct{} // has one element while nobody connects
	mu      sync.Mutex
	session *mcp.ClientSession
}

func newUpstream(d definition, root string, errs io.Writer) *upstream {
	u := &upstream{definition: d, root: root, errs: errs, turn: make(chan struct{}, 1)}
	u.turn <- struct{}{}
	return u
}

func (u *upstream) current() *mcp.ClientSession {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.session
}

func (u *upstream) set(session *mcp.ClientSession) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.session = session
}

// connect returns the session with the server.
func (u *upstream) connect(ctx context.Context) (*mcp.ClientSession, error) {
	select {
	case <-u.turn:
		defer func() { u.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if session := u.current(); session != nil {
		return session, nil
	}
	run, err := u.start(u.root)
	if err != nil {
		return nil, err
	}
	run.Stderr = u.errs
	// The session outlives the request that it is made for, but not its own start.
	starting, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
	defer cancel()
	client := mcp.NewClient(&mcp.Implementation{Name: "wrenn-mcp-gateway", Version: "1"}, nil)
	session, err := client.Connect(starting, &mcp.CommandTransport{Command: run}, nil)
	if err != nil {
		return nil, fmt.Errorf("start server %s: %w", u.name, err)
	}
	u.set(session)
	return session, nil
}

// forget ends a session that failed, so that the next call starts the server anew.
func (u *upstream) forget(session *mcp.ClientSession) {
	u.mu.Lock()
	same := u.session == session
	if same {
		u.session = nil
	}
	u.mu.Unlock()
	if same {
		_ = session.Close() // it has failed already
	}
}

func (u *upstream) close() {
	if session := u.current(); session != nil {
		u.forget(session)
	}
}

// call passes a tool's call on.
func (u *upstream) call(ctx context.Context, tool string, request *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	session, err := u.connect(ctx)
	if err != nil {
		return nil, err
	}
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: request.Params.Arguments})
	var refusal *jsonrpc.Error
	if err == nil || errors.As(err, &refusal) || ctx.Err() != nil {
		return result, err
	}
	u.forget(session)
	return nil, fmt.Errorf("server %s ended during the call; the next call starts it anew", u.name)
}

// gateway offers the tools and prompts of all servers as its own.
type gateway struct {
	server    *mcp.Server
	upstreams []*upstream
}

// newGateway starts all servers and takes over what they have.
func newGateway(ctx context.Context, all []definition, root string, errs io.Writer) (*gateway, error) {
	g := &gateway{server: mcp.NewServer(&mcp.Implementation{Name: "mcp-gateway", Title: "Wrenn's MCP gateway", Version: "1"}, &mcp.ServerOptions{
		Capabilities: &mcp.ServerCapabilities{Tools: &mcp.ToolCapabilities{}},
	})}
	taken := map[string]bool{}
	for _, d := range all {
		u := newUpstream(d, root, errs)
		g.upstreams = append(g.upstreams, u)
		if err := g.add(ctx, u, taken); err != nil {
			g.close()
			return nil, err
		}
	}
	return g, nil
}

func (g *gateway) add(ctx context.Context, u *upstream, taken map[string]bool) error {
	if err := u.installTo(ctx, u.root); err != nil {
		return err
	}
	session, err := u.connect(ctx)
	if err != nil {
		return err
	}
	offers := session.InitializeResult().Capabilities
	if offers == nil || offers.Tools == nil {
		return nil
	}
	for tool, err := range session.Tools(ctx, nil) {
		if err != nil {
			return fmt.Errorf("list the tools of server %s: %w", u.name, err)
		}
		offered := *tool
		if taken[offered.Name] {
			offered.Name = u.prefix() + "_" + offered.Name
		}
		taken[offered.Name] = true
		g.server.AddTool(&offered, func(ctx context.Context, request *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return u.call(ctx, tool.Name, request)
		})
	}
	return nil
}

func (g *gateway) close() {
	for _, u := range g.upstreams {
		u.close()
	}
}

// handler serves the gateway to who has the token. It keeps no sessions, so clients go on
// after a pause.
func (g *gateway) handler(token string) http.Handler {
	streamable := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return g.server }, &mcp.StreamableHTTPOptions{
		Stateless: true,
		// Every request has to have the token, whatever name it came by.
		DisableLocalhostProtection: true,
		Logger:                     slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	router := http.NewServeMux()
	router.HandleFunc("GET /health", func(http.ResponseWriter, *http.Request) {})
	router.HandleFunc("/mcp", func(w http.ResponseWriter, r *http.Request) {
		scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare([]byte(given), []byte(token)) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "bring the gateway's token: Authorization: Bearer TOKEN", http.StatusUnauthorized)
			return
		}
		streamable.ServeHTTP(w, r)
	})
	return router
}
