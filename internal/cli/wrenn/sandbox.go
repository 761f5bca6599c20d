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
