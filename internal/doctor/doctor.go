// Package doctor checks whether a machine can run Wrenn, and says how to mend
// what is missing.
package doctor

import (
	"context"
	"fmt"
)

// Status is what a check came to.
type Status string

const (
	// OK means that nothing is to be done.
	OK Status = "ok"
	// Warn means that Wrenn runs, but not as well as it could.
	Warn Status = "warn"
	// Fail means that Wrenn does not run.
	Fail Status = "fail"
)

// Result is what one check found.
type Result struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	// Detail says what was found.
	Detail string `json:"detail"`
	// Fix is what to do, if anything: a command where there is one.
	Fix string `json:"fix,omitempty"`
}

// Options say which installation is checked.
type Options struct {
	DataDir, CacheDir string
	// Listen is the address the API will listen on.
	Listen string
	// Running says that this installation runs: its port is its own.
	Running bool
	// EnvdPath is the guest agent's binary.
	EnvdPath string
	// ExternalDatabase is true if no private PostgreSQL is needed.
	ExternalDatabase bool
	// Driver is the configured VMM's driver; empty for none.
	Driver string
}

// check is one thing to look at. It leaves nothing behind on the machine.
type check struct {
	name string
	run  func(ctx context.Context, options Options) Result
}

// checks are in the order in which their failures are worth mending.
var checks = []check{
	{"system", checkSystem},
	{"root", checkRoot},
	{"packages", checkPackages},
	{"qemu", checkQEMU},
	{"kvm", checkKVM},
	{"firecracker", checkFirecracker},
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

// RequirementError is a check that failed: why Wrenn cannot run here.
type RequirementError struct{ Result }

// Error says in one line what is wrong and what to do.
func (e *RequirementError) Error() string {
	if e.Fix == "" {
		return e.Detail
	}
	return e.Detail + "; " + e.Fix
}

// Require runs the checks until one fails, and returns that one as a
// *RequirementError.
func Require(ctx context.Context, options Options) error {
	return requireAll(ctx, options, checks)
}

// RequireRoot checks only what has to hold before anything can be touched.
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

// forRoot is what a check comes to that needs root and does not have it.
func forRoot(what string) Result {
	return warn("run it with sudo", "%s: only root can tell", what)
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
