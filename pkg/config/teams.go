package config

// TeamLimits are what a new team may have; nil is without limit. An admin changes
// them for each team. The default team, which is the operator's own, has none.
//
// The bounds fit into every column that holds a limit.
type TeamLimits struct {
	Sandboxes        *int64 `env:"WRENN_TEAM_MAX_SANDBOXES" default:"20" min:"0" max:"2147483647" help:"sandboxes that a new team may have running, or none for no limit"`
	VCPUs            *int64 `env:"WRENN_TEAM_MAX_VCPUS" default:"40" min:"0" max:"2147483647" help:"vCPUs that its running sandboxes may have together"`
	MemoryMiB        *int64 `env:"WRENN_TEAM_MAX_MEMORY_MIB" default:"40960" min:"0" max:"2147483647" help:"memory in MiB that its running sandboxes may have together"`
	DiskMiB          *int64 `env:"WRENN_TEAM_MAX_DISK_MIB" default:"409600" min:"0" max:"2147483647" help:"disk in MiB that its sandboxes, paused ones too, may have together"`
	SandboxVCPUs     *int64 `env:"WRENN_TEAM_MAX_SANDBOX_VCPUS" default:"none" min:"0" max:"2147483647" help:"vCPUs that each of its sandboxes and templates may have"`
	SandboxMemoryMiB *int64 `env:"WRENN_TEAM_MAX_SANDBOX_MEMORY_MIB" default:"none" min:"0" max:"2147483647" help:"memory in MiB that each of them may have"`
	SandboxDiskMiB   *int64 `env:"WRENN_TEAM_MAX_SANDBOX_DISK_MIB" default:"none" min:"0" max:"2147483647" help:"disk in MiB that each of them may have"`
	Builds           *int64 `env:"WRENN_TEAM_MAX_BUILDS" default:"4" min:"0" max:"2147483647" help:"builds of templates that it may have running"`
	CreatesPerMinute *int64 `env:"WRENN_TEAM_MAX_CREATES_PER_MINUTE" default:"120" min:"0" max:"2147483647" help:"sandboxes that it may create in a minute"`
	Volumes          *int64 `env:"WRENN_TEAM_MAX_VOLUMES" default:"20" min:"0" max:"2147483647" help:"volumes that it may have"`
	VolumeMiB        *int64 `env:"WRENN_TEAM_MAX_VOLUME_MIB" default:"102400" min:"0" max:"2147483647" help:"size in MiB that its volumes may have together"`
	Secrets          *int64 `env:"WRENN_TEAM_MAX_SECRETS" default:"100" min:"0" max:"2147483647" help:"secrets that it may have"`
	Snapshots        *int64 `env:"WRENN_TEAM_MAX_SNAPSHOTS" default:"100" min:"0" max:"2147483647" help:"snapshots that it may have, each counted that is taken under one name"`
}
