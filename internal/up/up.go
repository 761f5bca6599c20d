// Package up runs all of Wrenn on one machine: PostgreSQL, the host agent and the
// control plane, each a supervised child process with no more rights than it needs.
package up

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/boot"
	"git.omukk.dev/wrenn/sandbox/internal/doctor"
	"git.omukk.dev/wrenn/sandbox/internal/installation"
	"git.omukk.dev/wrenn/sandbox/internal/supervisor"
)

const (
	// defaultListen is where the API and the sandboxes are reached.
	defaultListen = "127.0.0.1:3000"

	// stopTimeout bounds the stop of each part. The control plane pauses sandboxes in
	// that time.
	stopTimeout = 3 * time.Minute
)

// Config says what to run and where. The tags are read by package settings.
type Config struct {
	DataDir  string `env:"WRENN_DATA_DIR" flag:"data-dir" default:"/var/lib/wrenn" help:"directory of everything that must survive"`
	CacheDir string `env:"WRENN_CACHE_DIR" default:"/var/cache/wrenn" help:"directory of guest images, which can be built again"`
	// Listen and Domain may be empty: then they are the running instance's, or
	// else the defaults.
	Listen string `env:"WRENN_LISTEN" flag:"listen" derived:"127.0.0.1:3000" help:"address and port for the API and the traffic to sandboxes"`
	Domain string `env:"WRENN_DOMAIN" flag:"domain" derived:"localhost and the port of WRENN_LISTEN" help:"what host names of sandboxes end in, with a port where it is not the scheme's own"`
	// DatabaseURL names a PostgreSQL to use instead of a private one.
	DatabaseURL string `env:"DATABASE_URL" secret:"url" derived:"a private PostgreSQL in WRENN_DATA_DIR" help:"the PostgreSQL database"`
	// EnvdPath is the guest agent's binary.
	EnvdPath string `env:"WRENN_ENVD" derived:"envd beside the program" help:"binary of the guest agent"`
	// Driver is the VMM that the host agent is to use.
	Driver string `env:"WRENN_DRIVER" default:"auto" help:"VMM: qemu, firecracker, gvisor, or auto, which is Firecracker where it is installed and KVM works, and else QEMU"`

	Version string
	// Replace stops a running instance of another build first.
	Replace bool
	// Out receives messages for people.
	Out io.Writer
}

// Complete finds the guest agent's binary.
func (c *Config) Complete() (err error) {
	if c.EnvdPath, err = installation.FindEnvd(c.EnvdPath); err != nil {
		return fmt.Errorf("WRENN_ENVD: %w", err)
	}
	return nil
}

// ListenAddress is Listen or its default.
func (c *Config) ListenAddress() string { return cmp.Or(c.Listen, defaultListen) }

// url is the API's URL for clients on this machine.
func (c *Config) url() string {
	host, port, err := net.SplitHostPort(c.ListenAddress())
	if err != nil {
		return "http://" + c.ListenAddress()
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && (ip.IsUnspecified() || ip.IsLoopback()) {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// domain is what host names of sandboxes end in. With the default they are such as
// 8000-i0123.localhost:3000, which browsers resolve without DNS.
func (c *Config) domain() string {
	if c.Domain != "" {
		return c.Domain
	}
	_, port, err := net.SplitHostPort(c.ListenAddress())
	if err != nil {
		return "localhost"
	}
	return net.JoinHostPort("localhost", port)
}

// Checks are what the doctor examines before a start.
func (c *Config) Checks() doctor.Options {
	return doctor.Options{
		DataDir: c.DataDir, CacheDir: c.CacheDir, Listen: c.ListenAddress(),
		EnvdPath: c.EnvdPath, ExternalDatabase: c.DatabaseURL != "", Driver: c.Driver,
	}
}

// Run runs Wrenn until it is interrupted, then pauses all sandboxes and stops. If
// another wrenn up serves the data directory, it prints how to use that one instead.
func Run(ctx context.Context, config Config) (err error) {
	say := &terminal{out: config.Out}
	layout, err := config.openDataDir(ctx)
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
	if err := doctor.Require(ctx, config.Checks()); err != nil {
		return err
	}
	say.step("checks", "", started)

	ctx, forced, release := interruptible(ctx)
	defer release()
	s, ctx := newStack(ctx, config, layout, say)
	defer func() {
		stopErr := s.stop(forced)
		orderly, err = stopErr == nil, errors.Join(err, stopErr)
	}()
	if err := s.start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // interrupted
		}
		return err
	}
	if err := s.announce(ctx, started); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// claim takes the data directory for this process. The file is nil if another wrenn up
// serves the directory; how to use that one has been printed.
func (c *Config) claim(ctx context.Context, layout Layout, say *terminal) (*os.File, error) {
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

// openDataDir makes the data directory and sets DataDir to its path without symbolic
// links: /proc names open files by that path.
func (c *Config) openDataDir(ctx context.Context) (Layout, error) {
	if err := doctor.RequireRoot(ctx); err != nil {
		return Layout{}, err
	}
	if err := os.MkdirAll(c.DataDir, 0o755); err != nil {
		return Layout{}, fmt.Errorf("make the data directory: %w", err)
	}
	absolute, err := filepath.Abs(c.DataDir)
	if err == nil {
		absolute, err = filepath.EvalSymlinks(absolute)
	}
	if err != nil {
		return Layout{}, fmt.Errorf("find the data directory: %w", err)
	}
	c.DataDir = absolute
	return Layout{DataDir: absolute}, nil
}

// stack is Wrenn's parts while they start, run and stop.
type stack struct {
	config Config
	layout Layout
	say    *terminal
	steps  *boot.Sequence

	owner    systemUser
	console  *console
	lifeline *os.File
	running  bool // at least one part was started
}

// newStack returns the context for the steps of its start too.
func newStack(ctx context.Context, config Config, layout Layout, say *terminal) (*stack, context.Context) {
	steps, ctx := boot.New(ctx)
	return &stack{config: config, layout: layout, say: say, steps: steps, console: &console{say: say, path: layout.console()}}, ctx
}

// start starts the parts one after the other, each when the one before is ready.
func (s *stack) start(ctx context.Context) error {
	return s.steps.Start(ctx, append(s.preparation(),
		boot.Step{Name: "start PostgreSQL", Do: s.startDatabase},
		boot.Step{Name: "start the host agent", Do: s.startHostAgent},
		boot.Step{Name: "start the control plane", Do: s.startControlPlane},
	)...)
}

// preparation makes what all parts need.
func (s *stack) preparation() []boot.Step {
	return []boot.Step{
		{Name: "find the system user", Do: func(ctx context.Context) (err error) {
			s.owner, err = ensureSystemUser(ctx, s.say.Say)
			return err
		}},
		{Name: "prepare the data directory", Do: func(context.Context) error { return s.layout.prepare(s.owner) }},
		{Name: "make the secrets", Do: func(context.Context) error { return s.layout.ensureSecrets(s.owner) }},
		{Name: "open the console", Do: func(context.Context) error {
			s.steps.OnStop("close the console", func(context.Context) error { return s.console.close() })
			return s.console.begin()
		}},
		{Name: "wait for the processes of an earlier wrenn up", Do: func(ctx context.Context) (err error) {
			if s.lifeline, err = s.layout.takeLifeline(ctx, s.say.Say); err == nil {
				s.steps.OnStop("release the lifeline", func(context.Context) error { return s.lifeline.Close() })
			}
			return err
		}},
	}
}

// keep starts one part and prints how long that took.
func (s *stack) keep(ctx context.Context, service supervisor.Service, detail func() string) error {
	started := time.Now()
	service.Report = s.say.Say
	kept, err := supervisor.Keep(ctx, service)
	if err != nil {
		return err
	}
	s.running = true
	s.steps.OnStop("stop "+service.Name, func(ctx context.Context) error {
		started := time.Now()
		ctx, cancel := context.WithTimeout(ctx, stopTimeout)
		defer cancel()
		if err := kept.Stop(ctx); err != nil {
			return err
		}
		s.say.step(service.Name, "stopped", started)
		return nil
	})
	s.say.step(service.Name, detail(), started)
	return nil
}

// stop stops the parts, last started first: the control plane pauses sandboxes
// while the host agent and the database still run. The end of forced cuts short
// the wait for each.
func (s *stack) stop(forced context.Context) error {
	failures := []error{s.layout.removeInstance(), notify("STOPPING=1")}
	if s.running {
		s.say.Say("Stopping. What runs is paused; Ctrl-C again does not wait for that.")
	}
	return errors.Join(append(failures, s.steps.Stop(forced))...)
}

// announce prints how to use Wrenn, and tells other commands and systemd that it is
// ready.
func (s *stack) announce(ctx context.Context, started time.Time) error {
	build, err := buildOf("/proc/self/exe", s.config.EnvdPath)
	if err != nil {
		return fmt.Errorf("identify this build: %w", err)
	}
	running := instance{PID: os.Getpid(), URL: s.config.url(), Listen: s.config.ListenAddress(), Domain: s.config.domain(), Build: build}
	s.say.step("ready", "", started)
	if os.Getenv(detachedVariable) == "" { // else the foreground process prints it
		if err := s.say.showUse(ctx, s.layout, running); err != nil {
			return err
		}
	}
	if err := s.layout.writeInstance(running); err != nil {
		return fmt.Errorf("record the running instance: %w", err)
	}
	return notify("READY=1")
}

// howToUse is the text that says how to use a running Wrenn. The link signs in; without
// one the dashboard asks for a password.
func howToUse(url, link, key string) string {
	return fmt.Sprintf("\nDashboard  %s\nAPI URL    %s\nAPI key    %s\n\n"+
		"The link to the dashboard signs in once, within 15 minutes; wrenn up prints another.\n"+
		"To use the API with any E2B SDK or the E2B CLI:\n%s", cmp.Or(link, url), url, key, Exports(url, key))
}

// Exports are shell commands that set the environment variables of E2B's SDKs to use a
// Wrenn.
func Exports(url, key string) string {
	return fmt.Sprintf("export E2B_API_URL=%[1]s\nexport E2B_SANDBOX_URL=%[1]s\nexport E2B_VOLUME_API_URL=%[1]s\nexport E2B_API_KEY=%[2]s\n", url, key)
}
