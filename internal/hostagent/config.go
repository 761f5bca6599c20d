// Package hostagent runs one machine's sandboxes for control planes: by an RPC service
// that creates, pauses, resumes and kills them, and a server that forwards their traffic.
package hostagent

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"

	"git.omukk.dev/wrenn/sandbox/internal/installation"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/firecracker"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/gvisor"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/qemu"
	"git.omukk.dev/wrenn/sandbox/pkg/settings"
)

// Config configures a host agent. Package settings reads the tags.
type Config struct {
	// DataDir holds everything that must survive a restart.
	DataDir string `env:"WRENN_DATA_DIR" flag:"data-dir" default:"/var/lib/wrenn" help:"directory of everything that must survive"`
	// CacheDir holds built guest images. Several data directories may share it.
	CacheDir string `env:"WRENN_CACHE_DIR" flag:"cache-dir" default:"/var/cache/wrenn" help:"directory of guest images, which can be built again"`
	// EnvdPath is the path of the guest agent's static binary.
	EnvdPath string `env:"WRENN_ENVD" flag:"envd" derived:"envd beside the program" help:"binary of the guest agent"`
	// RPCSocket and TrafficSocket are Unix sockets that root and the group SocketGID may
	// use. They are two sockets so that traffic cannot reach the RPC service.
	RPCSocket     string `env:"WRENN_HOST_AGENT_SOCKET" flag:"socket" derived:"run/host-agent.sock in WRENN_DATA_DIR" help:"socket for the control plane"`
	TrafficSocket string `env:"WRENN_HOST_TRAFFIC_SOCKET" flag:"traffic-socket" derived:"run/host-traffic.sock in WRENN_DATA_DIR" help:"socket for traffic to sandboxes"`
	SocketGID     int    `env:"WRENN_SOCKET_GID" flag:"socket-gid" default:"0" min:"0" max:"4294967294" help:"group that may use the sockets"`
	// KeepRunning leaves VMs running when the agent stops, for the next agent to adopt.
	// Otherwise the agent pauses their sandboxes.
	KeepRunning bool `env:"WRENN_KEEP_RUNNING" flag:"keep-running" default:"true" help:"when the agent stops, leave sandboxes running for the next agent to adopt; otherwise pause them"`
	// Driver is DriverQEMU, DriverFirecracker, DriverGVisor or DriverAuto; empty is
	// DriverAuto. That is the data directory's driver so far or, for a new one,
	// Firecracker if it is installed and KVM works, and QEMU otherwise.
	Driver string `env:"WRENN_DRIVER" flag:"driver" default:"auto" choices:"auto,qemu,firecracker,gvisor" help:"driver of the sandboxes: qemu, firecracker, gvisor (no VMs, and the machine's own speed without KVM), or auto, which is firecracker if it is installed and KVM works, and else qemu"`
	// WarmMemoryPercent is the share of the host's memory that guests held ready for
	// creates may use; 0 for no such guests. The default is enough for 30 guests of the
	// base template on a machine with 24 GiB.
	WarmMemoryPercent int `env:"WRENN_WARM_MEMORY_PERCENT" flag:"warm-memory-percent" default:"5" min:"0" max:"50" help:"share of the memory that guests held ready for creates may use, 0 for no such guests"`
	// FirstUser is the first of the 32,768 user IDs that VMs run as, each as another one;
	// 0 is network.DefaultFirstUser. The ID after them is of processes that read images.
	FirstUser int `env:"WRENN_FIRST_USER" flag:"first-user" default:"1073741824" min:"1" help:"first of the 32768 user IDs that VMs run as; the one after them is for processes that read images"`
	// UpstreamNetworks are private or special networks in which egress proxies of
	// sandboxes may be.
	UpstreamNetworks []netip.Prefix `env:"WRENN_EGRESS_PROXY_NETWORKS" flag:"egress-proxy-networks" help:"private networks, separated by commas, in which egress proxies of sandboxes may be"`
	// Builds bound what builds of templates may use.
	Builds Builds
	// Limits bound what all sandboxes together, and each sandbox, may use.
	Limits Limits
	// Logging is the level and the format of the log.
	Logging settings.Log

	// Log receives the log; nil is slog.Default.
	Log *slog.Logger
	// Progress receives a line for each part of a slow start; nil for none.
	Progress func(line string)
	// Version is the program's version, which control planes show.
	Version string
	// VCPUCount and MemoryMiB are the base template's size; 0 is the default: 512 MiB,
	// and one vCPU under software emulation, otherwise two.
	VCPUCount int
	MemoryMiB int
	// DiskMiB is the size of the base template's disk; 0 is 4096.
	DiskMiB int
}

// Values of Config.Driver.
const (
	DriverAuto        = "auto"
	DriverQEMU        = qemu.Name
	DriverFirecracker = firecracker.Name
	DriverGVisor      = gvisor.Name
)

const (
	defaultMemoryMiB = 512
	defaultDiskMiB   = 4096
)

// Complete sets defaults that depend on other fields. It returns all inconsistencies as
// one error.
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
	if err := c.Builds.registries().Check(); err != nil {
		failures = append(failures, fmt.Errorf("WRENN_INSECURE_REGISTRIES, WRENN_PRIVATE_REGISTRIES: %w", err))
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
