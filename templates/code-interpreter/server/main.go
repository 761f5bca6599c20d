// The code interpreter's server runs in the guest, on the port that E2B's SDKs of code
// interpreters call, and runs code in kernels that keep their state.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"git.omukk.dev/wrenn/sandbox/templates/code-interpreter/server/internal/api"
	"git.omukk.dev/wrenn/sandbox/templates/code-interpreter/server/internal/contexts"
	"git.omukk.dev/wrenn/sandbox/templates/code-interpreter/server/internal/jupyter"
	"git.omukk.dev/wrenn/sandbox/templates/code-interpreter/server/internal/kernel"
	"git.omukk.dev/wrenn/sandbox/templates/code-interpreter/server/internal/process"
)

type config struct {
	listen, directory, home, jupyter, python, agent string
	contexts                                        int
}

// closeTimeout is for the end of all kernels.
const closeTimeout = 10 * time.Second

// warm is what the contexts that exist from the beginning run once: imports that take
// long, and a drawing, which has matplotlib look for its fonts.
var warm = []contexts.First{{Language: "python", Code: warmPython}, {Language: "javascript", Code: "1"}}

const warmPython = `
def _():
    import importlib
    for name in ("numpy", "pandas", "matplotlib.pyplot"):
        try:
            importlib.import_module(name)
        except ImportError:
            return
    from matplotlib import figure
    get_ipython().display_formatter.format(figure.Figure().add_subplot().figure)
_()
del _
`

func main() {
	var cfg config
	flag.StringVar(&cfg.listen, "listen", ":49999", "address and port to listen on")
	flag.StringVar(&cfg.directory, "directory", "/run/code-interpreter", "directory for files while the server runs")
	flag.StringVar(&cfg.home, "home", "/home/user", "directory of contexts that name none")
	flag.StringVar(&cfg.jupyter, "jupyter", "jupyter-server", "Jupyter's server")
	flag.StringVar(&cfg.python, "python", "/usr/bin/python3", "interpreter of Python's kernel")
	flag.StringVar(&cfg.agent, "agent", "http://127.0.0.1:49983", "guest agent, which knows the sandbox's variables; empty for none")
	flag.IntVar(&cfg.contexts, "contexts", 64, "contexts that there may be")
	flag.Parse()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, cfg, log); err != nil {
		log.Error("the code interpreter ended", "error", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, cfg config, log *slog.Logger) error {
	if err := os.MkdirAll(cfg.directory, 0o755); err != nil {
		return fmt.Errorf("make the directory for files: %w", err)
	}
	notebook, err := jupyter.New(jupyter.Config{Program: cfg.jupyter, Python: cfg.python, Directory: cfg.directory, Log: log})
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer listener.Close()
	// Jupyter ends after the contexts, whose kernels it is asked to end.
	running, stopJupyter := context.WithCancel(context.WithoutCancel(ctx))
	var waits sync.WaitGroup
	defer waits.Wait()
	defer stopJupyter()
	waits.Go(func() { _ = notebook.Run(running) })
	if err := notebook.Wait(ctx); err != nil {
		return err
	}
	all, err := newContexts(ctx, cfg, notebook, log)
	if err != nil {
		return err
	}
	defer closeContexts(ctx, all, log)
	return serve(ctx, listener, all, log)
}

func closeContexts(ctx context.Context, all *contexts.Contexts, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if err := all.Close(ctx); err != nil {
		log.WarnContext(ctx, "ended with kernels that did not end", "error", err)
	}
}

// newContexts finds the languages: those of this server's own interpreters, and those
// that Jupyter has kernels for, which go first.
func newContexts(ctx context.Context, cfg config, notebook *jupyter.Server, log *slog.Logger) (*contexts.Contexts, error) {
	interpreters, err := process.New(cfg.directory)
	if err != nil {
		return nil, err
	}
	languages := map[string]contexts.Start{}
	for _, language := range interpreters.Languages() {
		languages[language] = func(_ context.Context, directory string) (kernel.Kernel, error) {
			return interpreters.Start(language, directory)
		}
	}
	found, err := notebook.Languages(ctx)
	if err != nil {
		return nil, err
	}
	for language, name := range found {
		languages[language] = func(ctx context.Context, directory string) (kernel.Kernel, error) {
			return notebook.Start(ctx, name, directory)
		}
	}
	var environment contexts.Environment = contexts.NoEnvironment{}
	if cfg.agent != "" {
		environment = contexts.GuestAgent{URL: cfg.agent}
	}
	return contexts.New(contexts.Config{Languages: languages, Home: cfg.home, Most: cfg.contexts, Environment: environment, Log: log}), nil
}

// serve answers requests; it lets them in once the first contexts are warm.
func serve(ctx context.Context, listener net.Listener, all *contexts.Contexts, log *slog.Logger) error {
	handler := api.New(all, log)
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 5 * time.Minute}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	err := all.Warm(ctx, warm)
	if err == nil {
		handler.Ready()
		log.InfoContext(ctx, "the code interpreter is ready", "address", listener.Addr())
		select {
		case <-ctx.Done():
		case err = <-failed:
			return fmt.Errorf("serve: %w", err)
		}
	}
	if ctx.Err() != nil {
		err = nil
	}
	server.Close()
	if served := <-failed; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
