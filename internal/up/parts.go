package up

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/installation"
	"git.omukk.dev/wrenn/sandbox/internal/postgres"
	"git.omukk.dev/wrenn/sandbox/internal/supervisor"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
)

const (
	// agentTimeout allows for building the base template on a slow machine with a slow
	// package mirror.
	agentTimeout        = 20 * time.Minute
	controlPlaneTimeout = time.Minute
	// probeTimeout bounds one check whether a part is ready.
	probeTimeout = 5 * time.Second

	// firstUserPort is the lowest port that users other than root may listen on.
	firstUserPort = 1024
)

// startDatabase starts a private PostgreSQL, unless the configuration names one.
func (s *stack) startDatabase(ctx context.Context) error {
	if s.config.DatabaseURL != "" {
		s.say.step("PostgreSQL", "the one that DATABASE_URL names", time.Now())
		return nil
	}
	config := s.layout.cluster()
	config.Lifeline = s.lifeline
	var major int
	service := supervisor.Service{Name: "PostgreSQL", Start: func(ctx context.Context) (supervisor.Running, error) {
		server, err := postgres.Start(ctx, config)
		if err != nil {
			return nil, err
		}
		major = server.Major
		return server, nil
	}}
	return s.keep(ctx, service, func() string { return fmt.Sprintf("version %d", major) })
}

// startHostAgent starts the host agent, which runs as root. Its standard output is the
// progress of a first start, which builds the base template.
func (s *stack) startHostAgent(ctx context.Context) error {
	const name = "host agent"
	client := host.NewClient(installation.AgentSocket(s.config.DataDir))
	defer client.Close()
	var driver, accelerator string
	agent := child{
		name: name, subcommand: HostAgentCommand, logPath: s.layout.log("host-agent"), lifeline: s.lifeline,
		stdout: &lines{say: func(line string) { s.say.detail(name, line) }},
		// On SIGTERM, also if the supervisor is killed, it pauses all sandboxes.
		signals:      supervisor.Signals{Stop: unix.SIGTERM, Orphan: unix.SIGTERM},
		environment:  append(os.Environ(), variables(s.config.HostAgentSettings(), "WRENN_SOCKET_GID="+strconv.Itoa(s.owner.gid))...),
		readyTimeout: agentTimeout,
		ready: func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, probeTimeout)
			defer cancel()
			info, err := client.Info(ctx)
			driver, accelerator = info.Driver, info.Accelerator
			return err
		},
	}
	return s.keep(ctx, supervisor.Service{Name: name, Start: agent.start}, func() string {
		return driver + ", " + accelerator
	})
}

// startControlPlane starts the control plane as the system user: it faces the network.
func (s *stack) startControlPlane(ctx context.Context) error {
	identity := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(s.owner.uid), Gid: uint32(s.owner.gid)}}
	if s.needsLowPort() {
		identity.AmbientCaps = []uintptr{unix.CAP_NET_BIND_SERVICE}
	}
	controlPlane := child{
		name: "control plane", subcommand: ControlPlaneCommand, logPath: s.layout.log("control-plane"), lifeline: s.lifeline,
		// It has no state of its own, so it may be killed with the supervisor.
		signals:  supervisor.Signals{Stop: unix.SIGTERM, Orphan: unix.SIGKILL},
		identity: identity,
		// The first admin's link, and mail where no mail server is set up.
		stdout:       &lines{say: s.console.Show},
		environment:  append(inherited(os.Environ()), variables(s.config.ControlPlaneSettings(), "HOME="+s.layout.controlPlane())...),
		readyTimeout: controlPlaneTimeout,
		ready:        s.probeHealth,
	}
	return s.keep(ctx, supervisor.Service{Name: controlPlane.name, Start: controlPlane.start}, s.config.url)
}

func (s *stack) needsLowPort() bool {
	_, port, err := net.SplitHostPort(s.config.ListenAddress())
	if err != nil {
		return false
	}
	number, err := strconv.Atoi(port)
	return err == nil && number < firstUserPort
}

// inherited returns the variables that the control plane gets of wrenn up's own. Others
// may be secrets of root's environment.
func inherited(environment []string) []string {
	names := []string{"PATH", "LANG", "TZ", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"}
	prefixes := []string{"WRENN_", "PG", "GO", "LC_"}
	return slices.DeleteFunc(slices.Clone(environment), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return !slices.Contains(names, name) &&
			!slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
	})
}

func (s *stack) probeHealth(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.config.dialURL()+"/health", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("it answers %s", response.Status)
	}
	return nil
}

// dialURL is the control plane's URL without a host name, which DNS would resolve.
func (c *Config) dialURL() string {
	host, port, err := net.SplitHostPort(c.ListenAddress())
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return "http://" + net.JoinHostPort("127.0.0.1", port)
	}
	return "http://" + c.ListenAddress()
}
