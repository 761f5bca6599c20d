package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/supervisor"
)

const (
	// Database is a cluster's one database.
	Database = "wrenn"

	readyTimeout = time.Minute
	pollEvery    = 50 * time.Millisecond
	// socketName has PostgreSQL's default port in it, also without TCP.
	socketName = ".s.PGSQL.5432"
	// longestSocketPath is what fits into the kernel's sockaddr_un.
	longestSocketPath = 107
)

// Config says where a cluster is and as whom it runs.
type Config struct {
	// DataDir holds the cluster; it is made, owned by User, if it is missing.
	DataDir string
	// SocketDir is the directory of the server's socket; it is made if it is missing.
	SocketDir string
	// LogPath is the file that the server's log is appended to.
	LogPath string
	// User is the system user to run as; empty means the caller, who must not be root.
	User string
	// MaxConnections is how many clients connect at a time; zero means 100.
	MaxConnections int
	// Lifeline, if set, is a file that the server holds open while it runs.
	Lifeline *os.File
}

func (c Config) clusterDir() string { return filepath.Join(c.DataDir, "cluster") }

// URL is the address at which the cluster's user, and the user who started it, connect
// as Role.
func (c Config) URL() string { return c.databaseURL(Role, Database) }

func (c Config) databaseURL(role, database string) string {
	address := url.URL{
		Scheme: "postgres", User: url.User(role), Path: "/" + database,
		RawQuery: url.Values{"host": {c.SocketDir}}.Encode(),
	}
	return address.String()
}

// Server is a running cluster.
type Server struct {
	*supervisor.Process
	config Config
	// Major is PostgreSQL's major version.
	Major int
}

// Start makes the cluster if there is none, starts it and returns when it answers. Stop
// ends it, and so does the end of this process.
func Start(ctx context.Context, config Config) (*Server, error) {
	if socket := filepath.Join(config.SocketDir, socketName); len(socket) > longestSocketPath {
		return nil, fmt.Errorf("the socket path %s is longer than %d characters: choose a shorter data directory", socket, longestSocketPath)
	}
	owner, err := findAccount(config.User)
	if err != nil {
		return nil, err
	}
	installation, err := installationFor(config.clusterDir())
	if err != nil {
		return nil, err
	}
	for _, directory := range []string{config.DataDir, config.SocketDir} {
		if err := owner.ownDirectory(directory); err != nil {
			return nil, err
		}
	}
	if err := config.initialize(ctx, owner, installation); err != nil {
		return nil, err
	}
	if err := config.endStale(ctx); err != nil {
		return nil, err
	}
	if err := config.configure(owner); err != nil {
		return nil, err
	}
	return config.launch(ctx, owner, installation)
}

// launch starts the server process and waits until it answers.
func (c Config) launch(ctx context.Context, owner account, installation Installation) (*Server, error) {
	log, err := os.OpenFile(c.LogPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open database log: %w", err)
	}
	defer log.Close()
	// Not ctx, whose end would kill the process.
	command := owner.command(context.WithoutCancel(ctx), c.clusterDir(), filepath.Join(installation.Bin, "postgres"), "-D", c.clusterDir())
	command.Stdout, command.Stderr = log, log
	if c.Lifeline != nil {
		command.ExtraFiles = []*os.File{c.Lifeline}
	}
	// SIGINT is PostgreSQL's fast shutdown, which ends sessions. SIGQUIT is its immediate
	// one, which, unlike a kill, ends the server's child processes too.
	process, err := supervisor.Start("PostgreSQL", command, supervisor.Signals{
		Stop: syscall.SIGINT, Force: syscall.SIGQUIT, Orphan: syscall.SIGINT,
	})
	if err != nil {
		return nil, err
	}
	server := &Server{Process: process, config: c, Major: installation.Major}
	if err := server.awaitReady(ctx); err != nil {
		ended, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTimeout)
		defer cancel()
		return nil, errors.Join(err, process.Stop(ended))
	}
	return server, nil
}

// URL is the address at which the cluster's user, and the user who started it, connect
// as Role.
func (s *Server) URL() string { return s.config.URL() }

// AdminURL is the address at which root, or the user who runs the cluster without being
// root, connects as its superuser.
func (s *Server) AdminURL() string { return s.config.databaseURL(adminRole, "postgres") }

// awaitReady waits until the server answers and its database exists.
func (s *Server) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		last := s.config.ensureDatabase(ctx)
		if last == nil {
			return nil
		}
		select {
		case <-s.Done():
			return fmt.Errorf("PostgreSQL ended before it was ready (%w): %s (log: %s)", s.Err(), s.config.lastComplaint(), s.config.LogPath)
		case <-ctx.Done():
			return fmt.Errorf("wait for PostgreSQL: %w: %w", ctx.Err(), last)
		case <-poll.C:
		}
	}
}

// lastComplaint returns the last fatal error in the server's log, or its last line.
func (c Config) lastComplaint() string {
	log, err := os.ReadFile(c.LogPath)
	if err != nil {
		return err.Error()
	}
	for _, level := range []string{"FATAL:", "PANIC:"} {
		if i := bytes.LastIndex(log, []byte(level)); i >= 0 {
			line, _, _ := bytes.Cut(log[i+len(level):], []byte("\n"))
			return string(bytes.TrimSpace(line))
		}
	}
	return string(lastLine(log))
}
