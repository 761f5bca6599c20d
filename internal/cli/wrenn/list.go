package wrenn

import (
	"fmt"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
	"git.omukk.dev/wrenn/sandbox/internal/cli/apiclient"
)

func (c *sandboxCommand) newList() *cobra.Command {
	asJSON := false
	state := ""
	command := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List sandboxes, running and paused",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			a, err := c.connect()
			if err != nil {
				return err
			}
			sandboxes, err := apiclient.All[sandboxInfo](command.Context(), a, "/v2/sandboxes", url.Values{"state": {state}})
			if err != nil {
				return fmt.Errorf("list sandboxes: %w", err)
			}
			if asJSON {
				return cli.PrintJSON(c.Output, sandboxes)
			}
			return c.printTable(sandboxes)
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	command.Flags().StringVar(&state, "state", "running,paused", "states to list, comma-separated")
	return command
}

func (c *sandboxCommand) printTable(sandboxes []sandboxInfo) error {
	if len(sandboxes) == 0 {
		fmt.Fprintln(c.Errors, "no sandboxes; start one with: wrenn sandbox create")
		return nil
	}
	table := tabwriter.NewWriter(c.Output, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SANDBOX\tSTATE\tTEMPLATE\tCPU\tMEMORY\tSTARTED\tENDS IN")
	for _, s := range sandboxes {
		template := s.Alias
		if template == "" {
			template = s.TemplateID
		}
		endsIn := "-" // a paused sandbox has no end
		if s.State == "running" {
			endsIn = max(time.Until(s.EndAt), 0).Round(time.Second).String()
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d MiB\t%s\t%s\n",
			s.SandboxID, s.State, template, s.CPUCount, s.MemoryMB, s.StartedAt.Local().Format(time.DateTime), endsIn)
	}
	return table.Flush()
}
