package wrenn

import (
	"cmp"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
)

func (c *hostCommand) newShow() *cobra.Command {
	asJSON := false
	command := &cobra.Command{
		Use: "show HOST", Short: "Show one host: what it is, how full, and what isolates its sandboxes", Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, arguments []string) error {
			a, err := c.client.ConnectAdmin()
			if err != nil {
				return err
			}
			found, err := findHost(command.Context(), a, arguments[0])
			if err != nil {
				return fmt.Errorf("show host %s: %w", arguments[0], err)
			}
			if asJSON {
				return cli.PrintJSON(c.Output, found)
			}
			return c.print(found)
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return command
}

func (c *hostCommand) print(h hostInfo) error {
	runs := "not known: it has not been reached yet"
	if h.Driver != "" {
		runs = fmt.Sprintf("%s, by %s under %s", cmp.Or(h.Isolation, "unknown"), h.Driver, h.Accelerator)
	}
	table := tabwriter.NewWriter(c.Output, 0, 0, 2, ' ', 0)
	for _, line := range [][2]string{
		{"Host", h.Name},
		{"ID", h.HostID},
		{"State", h.State},
		{"Address", h.place()},
		{"Tags", strings.Join(h.Tags, ", ")},
		{"Version", h.Version},
		{"Isolation", runs},
		{"CPUs", fmt.Sprint(h.CPUCount)},
		{"Memory", fmt.Sprintf("%d MiB", h.MemoryMB)},
		{"Sandboxes", fmt.Sprintf("%d running, %d paused, %d failed", h.SandboxCount, h.PausedCount, h.FailedCount)},
		{"Seen", h.seen()},
	} {
		fmt.Fprintf(table, "%s\t%s\n", line[0], cmp.Or(line[1], "-"))
	}
	return table.Flush()
}
