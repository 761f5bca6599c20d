// Package doctor checks whether a machine can run Wrenn, and how to fix what is missing.
package doctor

import (
	"context"
	"fmt"
)

// Status is the outcome of a check.
type Status string

const (
	// OK means that nothing has to be done.
	OK Status = "ok"
	// Warn means that Wrenn runs with a limitation.
	Warn Status = "warn"
	// Fail means that Wrenn cannot run.
	Fail Status = "fail"
)

// Result is the result of one check.
type Result struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	// Detail is what the check found.
	Detail string `json:"detail"`
	// Fix is what to do, as a command if possible; empty for nothing.
	Fix string `json:"fix,omitempty"`
}

// Options describe the installation that is checked.
type Options struct {
	DataDir, CacheDir string
	// Listen is the address on which the API is to listen.
	Listen string
	// Running is true if this installation runs, and so may use its port.
	Running bool
	// EnvdPath is the path of the guest agent's binary.
	EnvdPath string
	// ExternalDatabase is true if no private PostgreSQL is needed.
	ExternalDatabase bool
	// Driver is the configured VMM's driver; empty for none.
	Driver string
	// Chosen reads which driver runs the sandboxes, or ran them last; nil leaves that
	// unexamined.
	Chosen func() (Chosen, error)
}

// check checks one thing. It leaves nothing on the machine.
type check struct {
	name string
	run  func(ctx context.Context, options Options) Result
}

// checks are in the order in which their failures should be fixed.
var checks = []check{
	{"system", checkSystem},
	{"root", checkRoot},
	{"packages", checkPackages},
	{"qemu", checkQEMU},
	{"kvm", checkKVM},
	{"firecracker", checkFirecracker},
	{"isolation", checkIsolation},
	{"postgresql", checkPostgreSQL},
	{"envd", checkEnvd},
	{"memory", checkMemory},
	{"data directory", checkDataDir},
	{"disk space", checkDiskSpace},
	{"reflinks", checkReflinks},
	{"port", checkPort},
	{"tun device", checkTun},
	{"namespaces", checkNamespaces},
	{"nftables", checkNftables},
	{"ip forwarding", checkForwarding},
}

// Examine runs every check.
func Examine(ctx context.Context, options Options) []Result {
	results := make([]Result, 0, len(checks))
	for _, check := range checks {
		result := check.run(ctx, options)
		result.Name = check.name
		results = append(results, result)
	}
	return results
}

// RequirementError is a check that failed, so that Wrenn cannot run.
type RequirementError struct{ Result }

// Error returns what is wrong and what to do, in one line.
func (e *RequirementError) Error() string {
	if e.Fix == "" {
		return e.Detail
	}
	return e.Detail + "; " + e.Fix
}

// Require runs the checks until one fails, and returns its result as a
// *RequirementError.
func Require(ctx context.Context, options Options) error {
	return requireAll(ctx, options, checks)
}

// RequireRoot runs only the checks that must pass before anything is changed.
func RequireRoot(ctx context.Context) error {
	return requireAll(ctx, Options{}, []check{{"system", checkSystem}, {"root", checkRoot}})
}

func requireAll(ctx context.Context, options Options, checks []check) error {
	for _, check := range checks {
		result := check.run(ctx, options)
		result.Name = check.name
		if result.Status == Fail {
			return &RequirementError{result}
		}
	}
	return nil
}

// forRoot is the result of a check that needs root and does not run as root.
func forRoot(what string) Result {
	return warn("run it with sudo", "%s: only root can check it", what)
}

func ok(format string, arguments ...any) Result {
	return Result{Status: OK, Detail: fmt.Sprintf(format, arguments...)}
}

func warn(fix, format string, arguments ...any) Result {
	return Result{Status: Warn, Detail: fmt.Sprintf(format, arguments...), Fix: fix}
}

func fail(fix, format string, arguments ...any) Result {
	return Result{Status: Fail, Detail: fmt.Sprintf(format, arguments...), Fix: fix}
}
