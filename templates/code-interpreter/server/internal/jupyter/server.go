// Package jupyter runs code in the kernels of a Jupyter server, which it starts and
// watches. They speak through a Unix socket: no port of the guest leads to Jupyter.
package jupyter

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"git.omukk.dev/wrenn/sandbox/templates/code-interpreter/server/internal/kernel"
)

//go:embed python/*.py
var python embed.FS

const (
	// startTimeout is for Jupyter's first answer: emulated guests start it in half a
	// minute.
	startTimeout = 3 * time.Minute
	// stopTimeout is for its end, in which it ends its kernels.
	stopTimeout = 10 * time.Second
	// restartDelay is between its end and its next start, if it should end by itself.
	restartDelay = time.Second
	pollInterval = 50 * time.Millisecond
)

// Config says where Jupyter is.
type Config struct {
	// Program is Jupyter's server, Python the interpreter of Python's kernel.
	Program, Python string
	// Directory is for what Jupyter needs while it runs.
	Directory string
	Log       *slog.Logger
}

// Server is a Jupyter server.
type Server struct {
	Config
	client *client
}

// New writes Jupyter's files into the configured directory.
func New(cfg Config) (*Server, error) {
	token := rand.Text()
	socket := filepath.Join(cfg.Directory, "jupyter.sock")
	s := &Server{Config: cfg, client: newClient(socket, token, cfg.Log)}
	files := map[string]any{
		"jupyter.json": settings(socket, token),
		"data/kernels/python3/kernel.json": map[string]any{
			"argv":         []string{cfg.Python, filepath.Join(cfg.Directory, "python", "launch.py"), "-f", "{connection_file}"},
			"display_name": "Python 3", "language": "python",
			// The debugger's advice about its breakpoints is for nobody here.
			"env": map[string]string{"PYDEVD_DISABLE_FILE_VALIDATION": "1"},
		},
	}
	for name, content := range files {
		encoded, err := json.Marshal(content)
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", name, err)
		}
		if err := s.write(name, encoded, 0o600); err != nil {
			return nil, err
		}
	}
	sources, err := python.ReadDir("python")
	if err != nil {
		return nil, fmt.Errorf("read the kernel's files: %w", err)
	}
	for _, source := range sources {
		content, err := python.ReadFile("python/" + source.Name())
		if err != nil {
			return nil, fmt.Errorf("read the kernel's files: %w", err)
		}
		if err := s.write("python/"+source.Name(), content, 0o644); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Server) write(name string, content []byte, mode os.FileMode) error {
	path := filepath.Join(s.Directory, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := os.WriteFile(path, content, mode); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// settings are Jupyter's: the socket and the token, a directory for kernels that may be
// any, and no limits on the rate of output, which would leave some of it out.
func settings(socket, token string) map[string]any {
	unlimited := map[string]any{"iopub_data_rate_limit": 0, "iopub_msg_rate_limit": 0}
	return map[string]any{
		"ServerApp": map[string]any{
			"sock": socket, "sock_mode": "0600", "token": token, "password": "",
			"root_dir": "/", "allow_root": true, "open_browser": false, "log_level": "WARN",
			"terminals_enabled": false, "jpserver_extensions": map[string]bool{},
			"iopub_data_rate_limit": 0, "iopub_msg_rate_limit": 0,
			// A guest that was paused for long has answered no ping.
			"tornado_settings": map[string]any{"ws_ping_interval": 0},
		},
		"ZMQChannelsWebsocketConnection": unlimited,
		"MappingKernelManager":           map[string]any{"kernel_info_timeout": startTimeout.Seconds()},
		"KernelManager":                  map[string]any{"shutdown_wait_time": 2},
	}
}

// Run keeps Jupyter running until ctx ends; it is then stopped.
func (s *Server) Run(ctx context.Context) error {
	for {
		err := s.runOnce(ctx)
		if ctx.Err() != nil {
			return nil
		}
		s.Log.ErrorContext(ctx, "Jupyter ended; it is started anew, with no kernels", "error", err)
		select {
		case <-time.After(restartDelay):
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *Server) runOnce(ctx context.Context) error {
	if err := os.Remove(s.socket()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the socket of an earlier Jupyter: %w", err)
	}
	command := exec.CommandContext(ctx, s.Program, "--config="+filepath.Join(s.Directory, "jupyter.json"))
	command.Env = append(os.Environ(), "JUPYTER_PATH="+filepath.Join(s.Directory, "data"))
	command.Stdout, command.Stderr = os.Stderr, os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = stopTimeout
	if err := command.Run(); err != nil {
		return fmt.Errorf("run %s: %w", s.Program, err)
	}
	return errors.New("it ended by itself")
}

func (s *Server) socket() string { return filepath.Join(s.Directory, "jupyter.sock") }

// Wait returns once Jupyter answers.
func (s *Server) Wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		err := s.client.call(ctx, http.MethodGet, "/api/status", nil, nil)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for Jupyter to start: %w", err)
		case <-ticker.C:
		}
	}
}

// Languages are those that Jupyter has kernels for, with the kernels' names.
func (s *Server) Languages(ctx context.Context) (map[string]string, error) {
	return s.client.languages(ctx)
}

// Start starts a kernel, by its name, in a directory.
func (s *Server) Start(ctx context.Context, name, directory string) (kernel.Kernel, error) {
	made := &jupyterKernel{client: s.client, name: name, directory: directory}
	if err := made.start(ctx); err != nil {
		if made.id != "" {
			err = errors.Join(err, s.client.stop(context.WithoutCancel(ctx), made.id))
		}
		return nil, err
	}
	return made, nil
}
