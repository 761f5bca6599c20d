// Package template has the commands on templates of the wrenn program.
package template

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
	"git.omukk.dev/wrenn/sandbox/internal/cli/apiclient"
)

// commands holds what all commands on templates need.
type commands struct {
	cli.Streams
	client *apiclient.Settings
}

// New makes the command "template".
func New(s cli.Streams) *cobra.Command {
	c := &commands{Streams: s, client: apiclient.New()}
	command := &cobra.Command{
		Use:     "template",
		Aliases: []string{"tpl"},
		Short:   "Build, tag, publish and delete templates",
		Long: `Build templates from Dockerfiles and images, and manage them, through the public API at
E2B_API_URL with the key E2B_API_KEY, or through the API of the Wrenn that runs on this
machine.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	for _, child := range []*cobra.Command{
		c.newBuild(), c.newPull(), c.newList(), c.newShow(), c.newLogs(), c.newTag(),
		c.newVisibility("publish", "Let every team create sandboxes from a template", true),
		c.newVisibility("unpublish", "Let the own team alone create sandboxes from a template", false),
		c.newDelete(),
	} {
		c.client.AddFlags(child.Flags())
		command.AddCommand(child)
	}
	return command
}

// run connects to the API and runs a command's work.
func (c *commands) run(work func(ctx context.Context, a *apiclient.API, arguments []string) error) func(*cobra.Command, []string) error {
	return func(command *cobra.Command, arguments []string) error {
		a, err := c.client.Connect()
		if err != nil {
			return err
		}
		return work(command.Context(), a, arguments)
	}
}

// path is the API's path of a template, or of something of it.
func path(template, rest string) string { return "/templates/" + url.PathEscape(template) + rest }

func (c *commands) newVisibility(verb, short string, public bool) *cobra.Command {
	return &cobra.Command{
		Use: verb + " TEMPLATE", Short: short, Args: cobra.ExactArgs(1),
		Example: "  wrenn template " + verb + " my-template",
		RunE: c.run(func(ctx context.Context, a *apiclient.API, arguments []string) error {
			_, err := a.Call(ctx, http.MethodPatch, "/v2"+path(arguments[0], ""), map[string]bool{"public": public}, nil)
			if err != nil {
				return fmt.Errorf("%s %s: %w", verb, arguments[0], err)
			}
			return nil
		}),
	}
}

func (c *commands) newDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete TEMPLATE...", Aliases: []string{"rm"}, Args: cobra.MinimumNArgs(1),
		Short:   "Delete templates with all their builds; sandboxes that were created from them stay",
		Example: "  wrenn template delete my-template",
		RunE: c.run(func(ctx context.Context, a *apiclient.API, arguments []string) error {
			for _, name := range arguments {
				if _, err := a.Call(ctx, http.MethodDelete, path(name, ""), nil, nil); err != nil {
					return fmt.Errorf("delete %s: %w", name, err)
				}
			}
			return nil
		}),
	}
}

func (c *commands) newTag() *cobra.Command {
	return &cobra.Command{
		Use: "tag TEMPLATE[:TAG] TAG...", Args: cobra.MinimumNArgs(2),
		Short: "Give the build that a name or a tag stands for more tags",
		Example: `  wrenn template tag my-template stable
  wrenn template tag my-template:v2 stable production`,
		RunE: c.run(func(ctx context.Context, a *apiclient.API, arguments []string) error {
			body := map[string]any{"target": arguments[0], "tags": arguments[1:]}
			if _, err := a.Call(ctx, http.MethodPost, "/templates/tags", body, nil); err != nil {
				return fmt.Errorf("tag %s: %w", arguments[0], err)
			}
			return nil
		}),
	}
}
