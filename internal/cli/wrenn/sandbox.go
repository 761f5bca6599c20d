package wrenn

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
	"git.omukk.dev/wrenn/sandbox/internal/cli/apiclient"
)

// defaultTimeout is how long a sandbox lives, as in the official SDKs.
const defaultTimeout = 5 * time.Minute

// sandboxCommand holds what all commands on sandboxes need.
type sandboxCommand struct {
	cli.Streams
	client *apiclient.Settings
}

// connect finds the API. The flags must be parsed.
func (c *sandboxCommand) connect() (*apiclient.API, error) { return c.client.Connect() }

func newSandbox(s cli.Streams) *cobra.Command {
	c := &sandboxCommand{Streams: s, client: apiclient.New()}
	command := &cobra.Command{
		Use:     "sandbox",
		Aliases: []string{"sbx"},
		Short:   "Create, use and kill sandboxes",
		Long: `Create, use and kill sandboxes through the public API at E2B_API_URL with the key
E2B_API_KEY, or through the API of the Wrenn that runs on this machine.`,
		Args: cobra.NoArgs, // so that a mistyped command is an error
		RunE: func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	commands := []*cobra.Command{
		c.newCreate(), c.newList(), c.newExec(), c.newResume(),
		c.newForEach("pause", "Pause sandboxes and keep their memory and files", func(ctx context.Context, a *apiclient.API, id string) error {
			_, err := a.Call(ctx, http.MethodPost, sandboxPath(id, "/pause"), nil, nil)
			return err
		}),
		c.newForEach("kill", "Kill sandboxes, running or paused, and delete their files", func(ctx context.Context, a *apiclient.API, id string) error {
			_, err := a.Call(ctx, http.MethodDelete, sandboxPath(id, ""), nil, nil)
			return err
		}),
	}
	for _, child := range commands {
		c.client.AddFlags(child.Flags())
		command.AddCommand(child)
	}
	return command
}

// newForEach makes a command that does one thing to each sandbox of its arguments.
func (c *sandboxCommand) newForEach(name, short string, do func(context.Context, *apiclient.API, string) error) *cobra.Command {
	return &cobra.Command{
		Use:   name + " SANDBOX...",
		Short: short,
		Args:  cobra.MinimumNArgs(1),
		RunE: func(command *cobra.Command, ids []string) error {
			a, err := c.connect()
			if err != nil {
				return err
			}
			var failures []error
			for _, id := range ids {
				if err := do(command.Context(), a, id); err != nil {
					failures = append(failures, fmt.Errorf("%s %s: %w", name, id, err))
				}
			}
			return errors.Join(failures...)
		},
	}
}

func (c *sandboxCommand) newResume() *cobra.Command {
	timeout := defaultTimeout
	command := c.newForEach("resume", "Resume paused sandboxes", func(ctx context.Context, a *apiclient.API, id string) error {
		seconds, err := wholeSeconds(timeout)
		if err != nil {
			return err
		}
		_, err = a.Call(ctx, http.MethodPost, sandboxPath(id, "/resume"), map[string]any{"timeout": seconds}, nil)
		return err
	})
	command.Flags().DurationVar(&timeout, "timeout", timeout, "how long they run before they are killed")
	return command
}

// newSandboxRequest is the body of a create.
type newSandboxRequest struct {
	TemplateID          string            `json:"templateID"`
	TimeoutSeconds      int64             `json:"timeout"`
	Secure              bool              `json:"secure"`
	AutoPause           bool              `json:"autoPause"`
	AllowInternetAccess bool              `json:"allow_internet_access"`
	EnvVars             map[string]string `json:"envVars,omitempty"`
	Metadata            map[string]string `json:"metadata,omitempty"`
	Isolation           string            `json:"isolation,omitempty"`
}

func (c *sandboxCommand) newCreate() *cobra.Command {
	var environment, metadata []string
	timeout, isolation := defaultTimeout, ""
	autoPause, noInternet := false, false
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
			return c.create(command.Context(), request)
		},
	}
	flags := command.Flags()
	flags.DurationVar(&timeout, "timeout", timeout, "how long it runs before it is killed")
	flags.StringArrayVarP(&environment, "env", "e", nil, "environment variable for every command in it, as NAME=VALUE; may be repeated")
	flags.StringArrayVarP(&metadata, "metadata", "m", nil, "metadata to find it by, as NAME=VALUE; may be repeated")
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
	if _, err := a.Call(ctx, http.MethodPost, "/sandboxes", request, &created); err != nil {
		return fmt.Errorf("create a sandbox: %w", err)
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

// parsePairs splits NAME=VALUE arguments.
func parsePairs(flag string, pairs []string) (map[string]string, error) {
	parsed := make(map[string]string, len(pairs))
	for _, pair := range pairs {
		name, value, found := strings.Cut(pair, "=")
		if !found || name == "" {
			return nil, fmt.Errorf("%s %q is not NAME=VALUE", flag, pair)
		}
		parsed[name] = value
	}
	return parsed, nil
}
