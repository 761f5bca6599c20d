// Package mcp has the command of wrenn that serves sandboxes as tools of the Model Context
// Protocol, to agents and to what people speak to them with.
package mcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	protocol "github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/spf13/cobra"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
	"git.omukk.dev/wrenn/sandbox/internal/cli/apiclient"
	"git.omukk.dev/wrenn/sandbox/internal/version"
)

// New makes the command "mcp".
func New(s cli.Streams) *cobra.Command {
	client, listen := apiclient.New(), ""
	command := &cobra.Command{
		Use:   "mcp",
		Short: "Serve sandboxes as tools of the Model Context Protocol",
		Long: `Serve sandboxes as tools of the Model Context Protocol (MCP): create, list, run commands
in, read and write files of, pause, resume, fork and kill.

Without flags it speaks on standard input and output, as programs like Claude Desktop
start it, for the team of the API key E2B_API_KEY. With --listen it speaks streamable HTTP
at /mcp, and each request brings the API key that it acts for, as "Authorization: Bearer
KEY" or "X-API-Key: KEY".`,
		Example: `  wrenn mcp
  wrenn mcp --listen 127.0.0.1:3100`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if listen != "" {
				return serveHTTP(command.Context(), s, client, listen)
			}
			a, err := client.Connect()
			if err != nil {
				return err
			}
			err = newServer(a).Run(command.Context(), &protocol.StdioTransport{})
			if errors.Is(err, context.Canceled) {
				return nil // told to end
			}
			return err
		},
	}
	command.Flags().StringVar(&listen, "listen", "", "address and port to speak HTTP on, in place of standard input and output")
	client.AddFlags(command.Flags())
	return command
}

// shutdownTimeout is for calls of tools that are under way when the server is told to end.
const shutdownTimeout = 10 * time.Second

func serveHTTP(ctx context.Context, s cli.Streams, client *apiclient.Settings, address string) error {
	if err := client.Read(); err != nil {
		return err
	}
	url, sandboxURL := client.APIURL, client.SandboxURL
	if url == "" {
		local, err := apiclient.ConnectLocal(client.DataDir)
		if err != nil {
			return fmt.Errorf("%w; or set E2B_API_URL", err)
		}
		url = local.URL
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{Handler: newHandler(url, sandboxURL), ReadHeaderTimeout: 10 * time.Second}
	fmt.Fprintf(s.Errors, "serving MCP at http://%s/mcp; each request brings an API key\n", listener.Addr())
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve MCP: %w", err)
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(ending); err != nil {
		server.Close()
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve MCP: %w", err)
	}
	return nil
}

// newHandler serves MCP to whoever brings an API key. No session outlives a request: a
// session's ID would be a second credential.
func newHandler(url, sandboxURL string) http.Handler {
	streamable := protocol.NewStreamableHTTPHandler(func(r *http.Request) *protocol.Server {
		return newServer(apiclient.ForKey(url, sandboxURL, keyOf(r)))
	}, &protocol.StreamableHTTPOptions{Stateless: true, MaxRequestBodyBytes: mostRequest})
	router := http.NewServeMux()
	router.HandleFunc("GET /health", func(http.ResponseWriter, *http.Request) {})
	router.HandleFunc("/mcp", func(w http.ResponseWriter, r *http.Request) {
		if keyOf(r) == "" {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "bring an API key: Authorization: Bearer KEY", http.StatusUnauthorized)
			return
		}
		streamable.ServeHTTP(w, r)
	})
	return router
}

// keyOf is the API key of a request.
func keyOf(r *http.Request) string {
	if key := r.Header.Get("X-API-Key"); key != "" {
		return key
	}
	scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(key)
}

const instructions = `Each sandbox is an isolated Linux machine of its own. Create one, run commands and
programs in it, and kill it when it is no longer needed; it is killed, or paused if it was
created so, when its time is over. Fork one to try several ways from the same state.`

// newServer makes a server whose tools act for one API key.
func newServer(a *apiclient.API) *protocol.Server {
	server := protocol.NewServer(
		&protocol.Implementation{Name: "wrenn", Title: "Wrenn sandboxes", Version: version.String()},
		&protocol.ServerOptions{Instructions: instructions},
	)
	t := tools{api: a}
	t.addLifecycle(server)
	t.addWork(server)
	return server
}
