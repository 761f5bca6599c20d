package wrenn

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"git.omukk.dev/wrenn/sandbox/internal/cli/apiclient"
	"git.omukk.dev/wrenn/sandbox/pkg/wait"
)

// newSandboxRequest is the body of a create.
type newSandboxRequest struct {
	TemplateID          string            `json:"templateID"`
	CPUCount            *int32            `json:"cpuCount,omitempty"`
	MemoryMB            *int32            `json:"memoryMB,omitempty"`
	DiskSizeMB          *int32            `json:"diskSizeMB,omitempty"`
	TimeoutSeconds      int64             `json:"timeout"`
	Secure              bool              `json:"secure"`
	AutoPause           bool              `json:"autoPause"`
	AllowInternetAccess bool              `json:"allow_internet_access"`
	EnvVars             map[string]string `json:"envVars,omitempty"`
	Metadata            map[string]string `json:"metadata,omitempty"`
	Isolation           string            `json:"isolation,omitempty"`
}

// hasSize reports whether the sandbox is to have another size than its template.
func (r newSandboxRequest) hasSize() bool {
	return r.CPUCount != nil || r.MemoryMB != nil || r.DiskSizeMB != nil
}

const (
	// stillBootsCode is the error code of a create whose size is still being made.
	stillBootsCode = "sandbox_placement_timeout"
	// sizePatience is how long a size is waited for, and sizeAgain how long until the create
	// is tried again.
	sizePatience = 20 * time.Minute
	sizeAgain    = 2 * time.Second
)

func (c *sandboxCommand) newCreate() *cobra.Command {
	var environment, metadata []string
	timeout, isolation := defaultTimeout, ""
	autoPause, noInternet := false, false
	var cpus, memoryMB, diskSizeMB int32
	command := &cobra.Command{
		Use:   "create [TEMPLATE]",
		Short: "Start a sandbox and print its ID",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, arguments []string) error {
			request := newSandboxRequest{TemplateID: "base", Secure: true, AutoPause: autoPause, AllowInternetAccess: !noInternet}
			if len(arguments) > 0 {
				request.TemplateID = arguments[0]
			}
			var err error
			if request.TimeoutSeconds, err = wholeSeconds(timeout); err != nil {
				return err
			}
			if request.EnvVars, err = parsePairs("--env", environment); err != nil {
				return err
			}
			if request.Metadata, err = parsePairs("--metadata", metadata); err != nil {
				return err
			}
			request.Isolation = isolation
			given := command.Flags().Changed
			request.CPUCount, request.MemoryMB = ifGiven(given("cpus"), cpus), ifGiven(given("memory"), memoryMB)
			request.DiskSizeMB = ifGiven(given("disk"), diskSizeMB)
			return c.create(command.Context(), request)
		},
	}
	flags := command.Flags()
	flags.DurationVar(&timeout, "timeout", timeout, "how long it runs before it is killed")
	flags.StringArrayVarP(&environment, "env", "e", nil, "environment variable for every command in it, as NAME=VALUE; may be repeated")
	flags.StringArrayVarP(&metadata, "metadata", "m", nil, "metadata to find it by, as NAME=VALUE; may be repeated")
	flags.Int32Var(&cpus, "cpus", 0, "virtual CPUs, where it is to have another number than its template")
	flags.Int32Var(&memoryMB, "memory", 0, "memory in MiB, where it is to have another size than its template")
	flags.Int32Var(&diskSizeMB, "disk", 0, "disk in MiB, where it is to have a larger one than its template")
	flags.BoolVar(&autoPause, "auto-pause", false, "pause it instead of killing it when its time is over")
	flags.StringVar(&isolation, "isolation", "", "what must stand between it and its host: vm or gvisor")
	flags.BoolVar(&noInternet, "no-internet", false, "give it no access to the internet")
	return command
}

func (c *sandboxCommand) create(ctx context.Context, request newSandboxRequest) error {
	a, err := c.connect()
	if err != nil {
		return err
	}
	started := time.Now()
	var created sandboxInfo
	for told := false; ; told = true {
		_, err := a.Call(ctx, http.MethodPost, "/sandboxes", request, &created)
		if err == nil {
			break
		}
		var refusal *apiclient.Refusal
		stillBoots := request.hasSize() && errors.As(err, &refusal) && refusal.ErrorCode == stillBootsCode
		if !stillBoots || time.Since(started) > sizePatience || !wait.For(ctx, sizeAgain) {
			return fmt.Errorf("create a sandbox: %w", err)
		}
		if !told {
			fmt.Fprintln(c.Errors, "the template boots with this size for the first time on its host; waiting for it")
		}
	}
	fmt.Fprintf(c.Errors, "created in %s from template %s, lives for %s\n",
		time.Since(started).Round(time.Millisecond), request.TemplateID, time.Duration(request.TimeoutSeconds)*time.Second)
	fmt.Fprintln(c.Output, created.SandboxID)
	return nil
}

func wholeSeconds(timeout time.Duration) (int64, error) {
	if timeout < time.Second {
		return 0, fmt.Errorf("--timeout %s is too short: it must be a second or more", timeout)
	}
	return int64(timeout / time.Second), nil
}

// ifGiven is nil for a flag that was not given.
func ifGiven(given bool, value int32) *int32 {
	if !given {
		return nil
	}
	return &value
}
