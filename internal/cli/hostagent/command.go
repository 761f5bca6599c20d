// Package hostagent is the command line of wrenn-host-agent, the program that runs the
// VMs of one machine.
package hostagent

import (
	"fmt"
	"io"
	stdlog "log" //nolint:depguard // where Go's HTTP client writes
	"log/slog"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
	"git.omukk.dev/wrenn/sandbox/internal/hostagent"
	"git.omukk.dev/wrenn/sandbox/internal/installation"
	"git.omukk.dev/wrenn/sandbox/internal/network"
	"git.omukk.dev/wrenn/sandbox/internal/version"
)

// Main runs the program and returns its exit code. VMs keep running when it ends, for
// the next host agent to adopt, so that a restart or an upgrade does not stop them.
func Main(arguments []string) int {
	return cli.Main(arguments, func(s cli.Streams) *cobra.Command {
		const keepRunning = true
		command := NewCommand(s, keepRunning)
		command.AddCommand(newJoin(s))
		return command
	})
}

// NewCommand returns the command that runs the host agent. It prints the progress of a
// slow start on standard output and its log on standard error.
func NewCommand(s cli.Streams, keepRunning bool) *cobra.Command {
	config := hostagent.Config{Version: version.String()}
	command := &cobra.Command{
		Use:   "wrenn-host-agent",
		Short: "Run the sandboxes of this machine for a control plane",
		Args:  cobra.NoArgs,
	}
	command.RunE = func(command *cobra.Command, _ []string) error {
		log, err := newLog(s.Errors)
		if err != nil {
			return err
		}
		config.Log = log
		// Go's HTTP client writes there what a guest sends unasked.
		stdlog.SetFlags(0)
		stdlog.SetOutput(slog.NewLogLogger(log.Handler(), slog.LevelDebug).Writer())
		config.Progress = func(line string) { fmt.Fprintln(s.Output, line) }
		if list := os.Getenv("WRENN_EGRESS_PROXY_NETWORKS"); list != "" && !command.Flags().Changed("egress-proxy-networks") {
			if err := (prefixes{&config.UpstreamNetworks}).Set(list); err != nil {
				return fmt.Errorf("WRENN_EGRESS_PROXY_NETWORKS: %w", err)
			}
		}
		if config.EnvdPath == "" {
			if config.EnvdPath, err = installation.FindEnvd(); err != nil {
				return err
			}
		}
		return hostagent.Run(command.Context(), config)
	}
	cli.AddDataDirFlag(command.Flags(), &config.DataDir)
	dataDir := cli.EnvironmentOr("WRENN_DATA_DIR", installation.DefaultDataDir)
	flags := command.Flags()
	flags.StringVar(&config.CacheDir, "cache-dir", cli.EnvironmentOr("WRENN_CACHE_DIR", installation.DefaultCacheDir), "where guest images are kept (WRENN_CACHE_DIR)")
	flags.StringVar(&config.EnvdPath, "envd", os.Getenv("WRENN_ENVD"), "the guest agent's binary (WRENN_ENVD, default beside this program)")
	flags.StringVar(&config.RPCSocket, "socket", cli.EnvironmentOr("WRENN_HOST_AGENT_SOCKET", installation.AgentSocket(dataDir)), "socket for the control plane (WRENN_HOST_AGENT_SOCKET)")
	flags.StringVar(&config.TrafficSocket, "traffic-socket", cli.EnvironmentOr("WRENN_HOST_TRAFFIC_SOCKET", installation.TrafficSocket(dataDir)), "socket for the sandboxes' traffic (WRENN_HOST_TRAFFIC_SOCKET)")
	flags.BoolVar(&config.KeepRunning, "keep-running", keepRunning, "leave sandboxes running when the agent stops, for the next one to adopt; else pause them")
	flags.IntVar(&config.WarmMemoryPercent, "warm-memory-percent", environmentNumber("WRENN_WARM_MEMORY_PERCENT", defaultWarmPercent), "share of the memory that guests held ready for sandboxes to come may take, 0 for none (WRENN_WARM_MEMORY_PERCENT)")
	flags.StringVar(&config.Driver, "driver", cli.EnvironmentOr("WRENN_DRIVER", hostagent.DriverAuto), "what runs the VMs: qemu, firecracker, or auto, which takes Firecracker where it is installed and KVM works (WRENN_DRIVER)")
	flags.IntVar(&config.FirstUser, "first-user", environmentNumber("WRENN_FIRST_USER", network.DefaultFirstUser), "first of the 32768 user IDs that VMs run as, each as one of its own (WRENN_FIRST_USER)")
	flags.Var(prefixes{&config.UpstreamNetworks}, "egress-proxy-networks", "private networks, comma-separated, that the egress proxies of sandboxes may be in (WRENN_EGRESS_PROXY_NETWORKS)")
	addLimitFlags(flags, &config.Limits)
	flags.IntVar(&config.SocketGID, "socket-gid", environmentNumber("WRENN_SOCKET_GID", 0), "group that may use the sockets (WRENN_SOCKET_GID)")
	return command
}

// prefixes is a flag of networks.
type prefixes struct{ list *[]netip.Prefix }

// String is the flag's value as it is written.
func (p prefixes) String() string {
	if p.list == nil {
		return ""
	}
	var written []string
	for _, each := range *p.list {
		written = append(written, each.String())
	}
	return strings.Join(written, ",")
}

// Type is what the flag's help calls its value.
func (p prefixes) Type() string { return "networks" }

// Set reads networks that are separated by commas.
func (p prefixes) Set(text string) error {
	for each := range strings.SplitSeq(text, ",") {
		prefix, err := netip.ParsePrefix(strings.TrimSpace(each))
		if err != nil {
			return err
		}
		*p.list = append(*p.list, prefix)
	}
	return nil
}

// defaultWarmPercent is enough for some thirty guests of the base template on a
// machine with 24 GiB.
const defaultWarmPercent = 5

// environmentNumber reads a number; what is none is the default.
func environmentNumber(name string, otherwise int) int {
	number, err := strconv.Atoi(os.Getenv(name))
	if err != nil {
		return otherwise
	}
	return number
}

// newLog follows WRENN_LOG_LEVEL and WRENN_LOG_FORMAT.
func newLog(out io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cli.EnvironmentOr("WRENN_LOG_LEVEL", "info"))); err != nil {
		return nil, fmt.Errorf("WRENN_LOG_LEVEL: %w", err)
	}
	options := &slog.HandlerOptions{Level: level}
	switch format := cli.EnvironmentOr("WRENN_LOG_FORMAT", "text"); format {
	case "text":
		return slog.New(slog.NewTextHandler(out, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(out, options)), nil
	default:
		return nil, fmt.Errorf("WRENN_LOG_FORMAT is %q: it must be text or json", format)
	}
}
