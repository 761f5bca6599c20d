// Package up runs a whole Wrenn on one machine: PostgreSQL, the host agent and
// the control plane, each a supervised child with no more rights than it needs.
package up

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/doctor"
	"git.omukk.dev/wrenn/sandbox/internal/supervisor"
)

const (
	// DefaultDataDir is where everything that must survive is kept.
	DefaultDataDir = "/var/lib/wrenn"
	// DefaultCacheDir holds guest images, which can be made again.
	DefaultCacheDir = "/var/cache/wrenn"
	// DefaultListen is where the API and the sandboxes are reached.
	DefaultListen = "127.0.0.1:3000"

	// stopTimeout is for each part; the control plane's is spent on pausing.
	stopTimeout = 3 * time.Minute
)

// Config says what to run and where.
type Config struct {
	DataDir, CacheDir string
	// Listen and Domain may be empty: then they are the running instance's, or
	// else the defaults.
	Listen, Domain string
	// DatabaseURL names a PostgreSQL to use instead of a private one.
	DatabaseURL string
	// EnvdPath is the guest agent's binary.
	EnvdPath string
	Version  string
	// Replace says to stop a running instance of another build first.
	Replace bool
	// Out is told what happens.
	Out io.Writer
}

// ListenAddress is Listen or its default.
func (c Config) ListenAddress() string {
	if c.Listen == "" {
		return DefaultListen
	}
	return c.Listen
}

// url is where clients on this machine reach Wrenn.
func (c Config) url() string {
	host, port, err := net.SplitHostPort(c.ListenAddress())
	if err != nil {
		return "http://" + c.ListenAddress()
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && (ip.IsUnspecified() || ip.IsLoopback()) {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// domain is what sandbox host names end in: with the default, names such as
// 8000-i0123.localhost:3000, which browsers resolve on their own.
func (c Config) domain() string {
	if c.Domain != "" {
		return c.Domain
	}
	_, port, err := net.SplitHostPort(c.ListenAddress())
	if err != nil {
		return "localhost"
	}
	return net.JoinHostPort("localhost", port)
}

// options are what the doctor has to look at.
func (c Config) options() doctor.Options {
	return doctor.Options{
		DataDir: c.DataDir, CacheDir: c.CacheDir, Listen: c.ListenAddress(),
		EnvdPath: c.EnvdPath, ExternalDatabase: c.DatabaseURL != "",
	}
}

// Run runs Wrenn until it is interrupted, then pauses what runs and stops.
// Where this data directory is being served already it only says so.
func Run(ctx context.Context, config Config) (err error) {
	say := &terminal{out: config.Out}
	config, layout, err := config.openDataDir(ctx)
	if err != nil {
		return err
	}
	pidFile, err := config.claim(ctx, layout, say)
	if err != nil || pidFile == nil {
		return err
	}
	orderly := true
	defer func() { err = errors.Join(err, releasePIDFile(pidFile, orderly)) }()

	started := time.Now()
	say.Say(fmt.Sprintf("Wrenn %s, data in %s", config.Version, config.DataDir))
	if err := doctor.Require(ctx, config.options()); err != nil {
		return err
	}
	say.step("checks", "", started)

	ctx, forced, release := interruptible(ctx)
	defer release()
	s := newStack(config, layout, say)
	defer func() {
		stopErr := s.stop(forced)
		orderly, err = stopErr == nil, errors.Join(err, stopErr)
	}()
	if err := s.start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // it was interrupted, not broken
		}
		return err
	}
	if err := s.announce(started); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// claim takes the data directory for this process. It returns nothing when
// another serves it, and has said how to use that one.
func (c Config) claim(ctx context.Context, layout Layout, say *terminal) (*os.File, error) {
	for {
		pidFile, err := layout.takePIDFile()
		if err == nil {
			return pidFile, nil
		}
		if !errors.Is(err, errLocked) {
			return nil, fmt.Errorf("claim the data directory: %w", err)
		}
		gone, err := c.joinRunning(ctx, layout, say)
		if err != nil || !gone {
			return nil, err
		}
	}
}

// openDataDir makes the data directory and gives it its one true name.
func (c Config) openDataDir(ctx context.Context) (Config, Layout, error) {
	if err := doctor.RequireRoot(ctx); err != nil {
		return c, Layout{}, err
	}
	if err := os.MkdirAll(c.DataDir, 0o755); err != nil {
		return c, Layout{}, fmt.Errorf("make the data directory: %w", err)
	}
	absolute, err := filepath.Abs(c.DataDir)
	if err == nil {
		absolute, err = filepath.EvalSymlinks(absolute)
	}
	if err != nil {
		return c, Layout{}, fmt.Errorf("find the data directory: %w", err)
	}
	c.DataDir = absolute
	return c, Layout{DataDir: absolute}, nil
}

// stack is Wrenn's parts, in the order in which they were started.
type stack struct {
	config   Config
	layout   Layout
	say      *terminal
	owner    systemUser
	console  *console
	lifeline *os.File
	parts    []part
}

func newStack(config Config, layout Layout, say *terminal) *stack {
	return &stack{config: config, layout: layout, say: say, console: &console{say: say, path: layout.console()}}
}

type part struct {
	name string
	kept *supervisor.Kept
}

// start starts the parts one after the other, each once the one before is
// ready to be used.
func (s *stack) start(ctx context.Context) error {
	if err := s.prepare(ctx); err != nil {
		return err
	}
	databaseURL, err := s.startDatabase(ctx)
	if err != nil {
		return err
	}
	if err := s.startHostAgent(ctx); err != nil {
		return err
	}
	return s.startControlPlane(ctx, databaseURL)
}

// prepare makes what all parts need, and waits for those of an earlier Wrenn.
func (s *stack) prepare(ctx context.Context) (err error) {
	if s.owner, err = ensureSystemUser(ctx, s.say.Say); err != nil {
		return err
	}
	if err := s.layout.prepare(s.owner); err != nil {
		return fmt.Errorf("prepare the data directory: %w", err)
	}
	if err := s.layout.ensureSecrets(s.owner); err != nil {
		return err
	}
	if err := s.console.begin(); err != nil {
		return err
	}
	if s.lifeline, err = s.layout.takeLifeline(ctx, s.say.Say); err != nil {
		return fmt.Errorf("wait for an earlier wrenn up: %w", err)
	}
	return nil
}

// keep starts one part and says how long it took.
func (s *stack) keep(ctx context.Context, service supervisor.Service, detail func() string) error {
	started := time.Now()
	service.Report = s.say.Say
	kept, err := supervisor.Keep(ctx, service)
	if err != nil {
		return err
	}
	s.parts = append(s.parts, part{name: service.Name, kept: kept})
	s.say.step(service.Name, detail(), started)
	return nil
}

// stop stops the parts, last started first: the control plane pauses what runs
// while there is still a host agent to do it and a database to write it to.
func (s *stack) stop(forced context.Context) error {
	failures := []error{s.layout.removeInstance(), notify("STOPPING=1")}
	if len(s.parts) > 0 {
		s.say.Say("Stopping. What runs is paused; Ctrl-C again does not wait for that.")
	}
	for i := len(s.parts) - 1; i >= 0; i-- {
		started := time.Now()
		ctx, cancel := context.WithTimeout(forced, stopTimeout)
		err := s.parts[i].kept.Stop(ctx)
		cancel()
		if err != nil {
			failures = append(failures, err)
			continue
		}
		s.say.step(s.parts[i].name, "stopped", started)
	}
	failures = append(failures, s.console.close())
	if s.lifeline != nil {
		failures = append(failures, s.lifeline.Close())
	}
	return errors.Join(failures...)
}

// announce tells people, other commands and systemd that Wrenn is ready.
func (s *stack) announce(started time.Time) error {
	build, err := buildOf("/proc/self/exe", s.config.EnvdPath)
	if err != nil {
		return fmt.Errorf("identify this build: %w", err)
	}
	running := instance{PID: os.Getpid(), URL: s.config.url(), Listen: s.config.ListenAddress(), Domain: s.config.domain(), Build: build}
	s.say.step("ready", "", started)
	if os.Getenv(detachedVariable) == "" { // else the one in front says so
		if err := s.say.showUse(s.layout, running.URL); err != nil {
			return err
		}
	}
	if err := s.layout.writeInstance(running); err != nil {
		return fmt.Errorf("write down what runs: %w", err)
	}
	return notify("READY=1")
}

// howToUse is what to do with a running Wrenn.
func howToUse(url, key string) string {
	return fmt.Sprintf("\nAPI URL  %s\nAPI key  %s\n\nPoint any E2B SDK, or the E2B CLI, at it:\n%s", url, key, Exports(url, key))
}

// Exports are the shell commands that point E2B's SDKs at a Wrenn.
func Exports(url, key string) string {
	return fmt.Sprintf("export E2B_API_URL=%[1]s\nexport E2B_SANDBOX_URL=%[1]s\nexport E2B_VOLUME_API_URL=%[1]s\nexport E2B_API_KEY=%[2]s\n", url, key)
}
