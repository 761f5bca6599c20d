// Package hostagent runs one machine's sandboxes for the control plane: an RPC
// service that creates, pauses, resumes and kills them, and a way in for the
// traffic that goes to them.
package hostagent

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"

	"git.omukk.dev/wrenn/sandbox/internal/vmm/firecracker"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/qemu"
)

// Config is what the host agent needs to know.
type Config struct {
	// DataDir is where everything that must survive is kept.
	DataDir string
	// CacheDir holds built guest images and may be shared by several data
	// directories.
	CacheDir string
	// EnvdPath is the guest agent's static binary.
	EnvdPath string
	// RPCSocket and TrafficSocket are Unix sockets, made readable and writable
	// for SocketGID. They are apart so that traffic can never reach the RPC.
	RPCSocket     string
	TrafficSocket string
	SocketGID     int
	// Version is reported to the control plane.
	Version string
	Log     *slog.Logger
	// Progress is told, line by line, what a start that takes long is doing.
	Progress func(line string)
	// KeepRunning leaves VMs running when the agent stops, for the next one to
	// adopt; else they are paused.
	KeepRunning bool
	// WarmMemoryPercent is the share of the host's memory, from 0 to 50, that may
	// be taken by guests held ready for sandboxes to come; 0 means none are.
	WarmMemoryPercent int
	// Driver is the VMM: DriverQEMU, DriverFirecracker, or DriverAuto, also when
	// empty: Firecracker where it is installed and KVM works, unless the data
	// directory began with QEMU; else QEMU.
	Driver string
	// FirstUser begins the range of users that VMs are, one for each, of 32,768;
	// zero means network.DefaultFirstUser.
	FirstUser int
	// UpstreamNetworks are private or special ranges that the egress proxies of
	// sandboxes may be in.
	UpstreamNetworks []netip.Prefix
	// Limits are what sandboxes may take together and each by itself.
	Limits Limits
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

	maxWarmMemoryPercent = 50
)

func (c *Config) validate() error {
	for name, value := range map[string]string{
		"DataDir": c.DataDir, "CacheDir": c.CacheDir, "EnvdPath": c.EnvdPath,
		"RPCSocket": c.RPCSocket, "TrafficSocket": c.TrafficSocket,
	} {
		if value == "" {
			return errors.New("host agent configuration: " + name + " is not set")
		}
	}
	if c.WarmMemoryPercent < 0 || c.WarmMemoryPercent > maxWarmMemoryPercent {
		return fmt.Errorf("host agent configuration: guests held ready may take from 0 to %d %% of the host's memory, not %d %%",
			maxWarmMemoryPercent, c.WarmMemoryPercent)
	}
	switch c.Driver {
	case "":
		c.Driver = DriverAuto
	case DriverAuto, DriverQEMU, DriverFirecracker:
	default:
		return fmt.Errorf("host agent configuration: the driver is %s, %s or %s, not %q", DriverAuto, DriverQEMU, DriverFirecracker, c.Driver)
	}
	if err := c.Limits.validate(); err != nil {
		return err
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	if c.MemoryMiB == 0 {
		c.MemoryMiB = defaultMemoryMiB
	}
	if c.DiskMiB == 0 {
		c.DiskMiB = defaultDiskMiB
	}
	return nil
}
