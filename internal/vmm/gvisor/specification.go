package gvisor

// specification is an OCI runtime specification, as far as it is used.
type specification struct {
	Version     string            `json:"ociVersion"`
	Process     guestProcess      `json:"process"`
	Root        guestRoot         `json:"root"`
	Hostname    string            `json:"hostname"`
	Mounts      []guestMount      `json:"mounts"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type guestProcess struct {
	User         guestUser           `json:"user"`
	Args         []string            `json:"args"`
	Env          []string            `json:"env"`
	Cwd          string              `json:"cwd"`
	Capabilities map[string][]string `json:"capabilities"`
	Rlimits      []guestLimit        `json:"rlimits"`
}

type guestUser struct {
	UID int `json:"uid"`
	GID int `json:"gid"`
}

type guestLimit struct {
	Type string `json:"type"`
	Hard int    `json:"hard"`
	Soft int    `json:"soft"`
}

type guestRoot struct {
	Path string `json:"path"`
}

type guestMount struct {
	Destination string   `json:"destination"`
	Type        string   `json:"type"`
	Source      string   `json:"source"`
	Options     []string `json:"options,omitempty"`
}

// firstProgram is what a guest starts: in Wrenn's directory, and told where it is.
var firstProgram = []string{"/.wrenn/bin/init", "gvisor"}

// wrennDirectory is where the guest has Wrenn's directory.
const wrennDirectory = "/.wrenn"

// Open files of what runs in the guest, as in other guests.
const (
	openFilesHard = 1 << 20
	openFilesSoft = 1 << 16
)

// describeGuest is the same for every guest: a checkpoint restores only with the
// specification that it was made with.
func describeGuest() specification {
	all := capabilityNames
	return specification{
		Version: "1.0.2",
		Process: guestProcess{
			Args: firstProgram, Cwd: "/",
			Env:          []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
			Capabilities: map[string][]string{"bounding": all, "effective": all, "permitted": all},
			Rlimits:      []guestLimit{{Type: "RLIMIT_NOFILE", Hard: openFilesHard, Soft: openFilesSoft}},
		},
		Root: guestRoot{Path: "/"}, Hostname: "sandbox",
		Mounts: []guestMount{
			{Destination: wrennDirectory, Type: "erofs", Source: "wrenn", Options: []string{"ro", "nosuid", "nodev", "noatime"}},
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/sys", Type: "sysfs", Source: "sysfs"},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs"},
			{Destination: "/dev/pts", Type: "devpts", Source: "devpts"},
			{Destination: "/dev/shm", Type: "tmpfs", Source: "tmpfs", Options: []string{"mode=1777", "nosuid", "nodev"}},
			{Destination: "/run", Type: "tmpfs", Source: "tmpfs", Options: []string{"mode=755", "nosuid", "nodev"}},
		},
	}
}

// capabilityNames are all capabilities of Linux: the guest's root is root of the guest's
// kernel, which is not the host's. Source: capabilities(7).
var capabilityNames = []string{
	"CAP_AUDIT_CONTROL", "CAP_AUDIT_READ", "CAP_AUDIT_WRITE", "CAP_BLOCK_SUSPEND", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_IPC_LOCK", "CAP_IPC_OWNER",
	"CAP_KILL", "CAP_LEASE", "CAP_LINUX_IMMUTABLE", "CAP_MAC_ADMIN", "CAP_MAC_OVERRIDE", "CAP_MKNOD", "CAP_NET_ADMIN",
	"CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_RAW", "CAP_PERFMON", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP",
	"CAP_SETUID", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_CHROOT", "CAP_SYS_MODULE", "CAP_SYS_NICE", "CAP_SYS_PACCT",
	"CAP_SYS_PTRACE", "CAP_SYS_RAWIO", "CAP_SYS_RESOURCE", "CAP_SYSLOG", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_WAKE_ALARM",
}
