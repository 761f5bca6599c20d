package build

import (
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

// The names of steps that are no instruction.
const (
	// StepBase gets what the build begins with.
	StepBase = "base"
	// StepFinalize boots the template and takes its snapshot.
	StepFinalize = "finalize"
)

// Level is how important an entry of a log is.
type Level string

// The levels, the least important first.
const (
	LevelDebug Level = "debug"
	LevelInfo  Level = "info"
	LevelWarn  Level = "warn"
	LevelError Level = "error"
)

// Levels returns all levels, the least important first.
func Levels() []Level { return []Level{LevelDebug, LevelInfo, LevelWarn, LevelError} }

// LogEntry is one line of a build's log.
type LogEntry struct {
	At    time.Time
	Level Level
	// Step is StepBase, StepFinalize or a step's name.
	Step string
	Text string
}

// Cause is why a build has failed, for programs.
type Cause string

// The causes. Those up to CauseBootFailed are a host's.
const (
	CauseImageNotFound       Cause = "image_not_found"
	CauseImageUnauthorized   Cause = "image_unauthorized"
	CauseWrongPlatform       Cause = "wrong_platform"
	CauseRegistryUnreachable Cause = "registry_unreachable"
	CauseImageInvalid        Cause = "image_invalid"
	CauseNoSpace             Cause = "no_space"
	CauseOutOfMemory         Cause = "out_of_memory"
	CauseTimedOut            Cause = "timed_out"
	CauseHashMismatch        Cause = "hash_mismatch"
	CauseFileMissing         Cause = "file_missing"
	CauseCommandFailed       Cause = "command_failed"
	CauseNotReady            Cause = "not_ready"
	CauseCancelled           Cause = "cancelled"
	CauseBaseNotFound        Cause = "base_not_found"
	CauseInvalidStep         Cause = "invalid_step"
	CauseInternal            Cause = "internal"
	CauseBootFailed          Cause = "boot_failed"

	// CauseSuperseded: another build of the same tags was requested before this one was
	// started.
	CauseSuperseded Cause = "superseded"
	// CauseNotStarted: it was not started in time.
	CauseNotStarted Cause = "not_started"
	// CauseHostGone: the host of the build drains or is gone.
	CauseHostGone Cause = "host_gone"
	// CauseUnsupported: the agent of the host is too old.
	CauseUnsupported Cause = "unsupported"
	// CauseRefused: the host does not take the build.
	CauseRefused Cause = "refused"
)

// Failure is how a build has failed.
type Failure struct {
	Cause Cause
	// Step is StepBase, StepFinalize, a step's name, or empty.
	Step string
	// Line of the Dockerfile, from 1 on; 0 for none.
	Line int
	// Command and ExitCode are of a command that failed.
	Command  string
	ExitCode int32
	// Message says what happened and what to do.
	Message string
	// LastLines are the last lines of the step's output.
	LastLines []string
}

// Template is a finished build on its host.
type Template struct {
	VCPUCount, MemoryMiB, DiskMiB int32
	EnvdVersion                   string
	// MadeBy is what a host must be to start it.
	MadeBy sandbox.Maker
}

// Result is the end of a build; exactly one of Ready and Failure is set.
type Result struct {
	Ready   *Template
	Failure *Failure
	// ImageDigest is of the base image; empty where there is none.
	ImageDigest string
}

// Update is what a host tells of a build; exactly one field is set.
type Update struct {
	Entry  *Entry
	Result *Result
}

// Entry is an entry of a log with its place in the attempt that it is of, from 1 on.
type Entry struct {
	Sequence int64
	LogEntry
}

// Start is what a host is asked to build.
type Start struct {
	// BuildID is a UUID, and the ID of the finished build.
	BuildID, TeamID, TemplateID string
	Definition                  Definition
	// Builds are the IDs of the builds that templates of the definition stand for, by
	// name.
	Builds                        map[string]string
	Confidential                  Confidential
	VCPUCount, MemoryMiB, DiskMiB int32
}
