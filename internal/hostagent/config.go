// Package hostagent runs one machine's sandboxes for the control plane: an RPC
// service that creates, pauses, resumes and kills them, and a way in for the
// traffic that goes to them.
package hostagent

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"

	"git.omukk.dev/wrenn/sandbox/internal/installation"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/firecracker"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/qemu"
	"git.omukk.dev/wrenn/sandbox/pkg/settings"
)

// Config is what the host agent needs to know. The tags are read by package
// settings.
type Config struct {
	// DataDir is where everything that must survive is kept.
	DataDir string `env:"WRENN_DATA_DIR" flag:"data-dir" default:"/var/lib/wrenn" help:"directory of everything that must survive"`
	// CacheDir holds built guest images and may be shared by several data
	// directories.
	CacheDir string `env:"WRENN_CACHE_DIR" flag:"cache-dir" default:"/var/cache/wrenn" help:"directory of guest images, which can be built again"`
	// EnvdPath is the guest agent's static binary.
	EnvdPath string `env:"WRENN_ENVD" flag:"envd" derived:"envd beside the program" help:"binary of the guest agent"`
	// RPCSocket and TrafficSocket are Unix sockets, made readable and writable
	// for SocketGID. They are apart so that traffic can never reach the RPC.
	RPCSocket     string `env:"WRENN_HOST_AGENT_SOCKET" flag:"socket" derived:"run/host-agent.sock in WRENN_DATA_DIR" help:"socket for the control plane"`
	TrafficSocket string `env:"WRENN_HOST_TRAFFIC_SOCKET" flag:"traffic-socket" derived:"run/host-traffic.sock in WRENN_DATA_DIR" help:"socket for traffic to sandboxes"`
	SocketGID     int    `env:"WRENN_SOCKET_GID" flag:"socket-gid" default:"0" min:"0" max:"4294967294" help:"group that may use the sockets"`
	// KeepRunning leaves VMs running when the agent stops, for the next one to
	// adopt; else they are paused.
	KeepRunning bool `env:"WRENN_KEEP_RUNNING" flag:"keep-running" default:"true" help:"whether sandboxes keep running when the agent stops, for the next one to adopt, or are paused"`
	// Driver is the VMM. DriverAuto, also when empty, is Firecracker where it is
	// installed and KVM works, unless the data directory began with QEMU; else QEMU.
	Driver string `env:"WRENN_DRIVER" flag:"driver" default:"auto" choices:"auto,qemu,firecracker" help:"VMM: qemu, firecracker, or auto, which is Firecracker where it is installed and KVM works"`
	// WarmMemoryPercent is the share of the host's memory that may be taken by guests
	// held ready for sandboxes to come. The default is enough for some thirty guests of
	// the base template on a machine with 24 GiB.
	WarmMemoryPercent int `env:"WRENN_WARM_MEMORY_PERCENT" flag:"warm-memory-percent" default:"5" min:"0" max:"50" help:"share of the memory that guests held ready for creates may take, 0 for none"`
	// FirstUser begins the range of 32,768 users that VMs run as, each as one of its
	// own; zero means network.DefaultFirstUser.
	FirstUser int `env:"WRENN_FIRST_USER" flag:"first-user" default:"1073741824" min:"1" help:"first of the 32768 user IDs that VMs run as, each as one of its own"`
	// UpstreamNetworks are private or special ranges that the egress proxies of
	// sandboxes may be in.
	UpstreamNetworks []netip.Prefix `env:"WRENN_EGRESS_PROXY_NETWORKS" flag:"egress-proxy-networks" help:"private networks, separated by commas, that egress proxies of sandboxes may be in"`
	// Limits are what sandboxes may take together and each by itself.
	Limits Limits
	// Logging says what is logged, and how.
	Logging settings.Log

	// Log takes the log; nil means slog.Default.
	Log *slog.Logger
	// Progress is told, line by line, what a slow start is doing; nil means nothing.
	Progress func(line string)
	// Version is reported to the control plane.
	Version string
	// VCPUCount and MemoryMiB are the base template's size; zero means the
	// default: 512 MiB, and one vCPU under software emulation, else two.
	VCPUCount int
	MemoryMiB int
	// DiskMiB is the base template's disk size; zero means 4096.
	DiskMiB int
}

// What Config.Driver may be.
const (
	DriverAuto        = "auto"
	DriverQEMU        = qemu.Name
	DriverFirecracker = firecracker.Name
)

const (
	defaultMemoryMiB = 512
	defaultDiskMiB   = 4096
)

// Complete computes what is not set from what is. Its error is all that does not fit
// together.
func (c *Config) Complete() (err error) {
	var failures []error
	if c.DataDir == "" {
		failures = append(failures, errors.New("WRENN_DATA_DIR is not set"))
	}
	if c.CacheDir == "" {
		failures = append(failures, errors.New("WRENN_CACHE_DIR is not set"))
	}
	if c.EnvdPath, err = installation.FindEnvd(c.EnvdPath); err != nil {
		failures = append(failures, fmt.Errorf("WRENN_ENVD: %w", err))
	}
	if err := c.Limits.network().Check(); err != nil {
		failures = append(failures, fmt.Errorf("limits of a sandbox's network: %w", err))
	}
	c.RPCSocket = cmp.Or(c.RPCSocket, installation.AgentSocket(c.DataDir))
	c.TrafficSocket = cmp.Or(c.TrafficSocket, installation.TrafficSocket(c.DataDir))
	c.Driver = cmp.Or(c.Driver, DriverAuto)
	c.MemoryMiB = cmp.Or(c.MemoryMiB, defaultMemoryMiB)
	c.DiskMiB = cmp.Or(c.DiskMiB, defaultDiskMiB)
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	return errors.Join(failures...)
}
