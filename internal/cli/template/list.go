package template

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
	"git.omukk.dev/wrenn/sandbox/internal/cli/apiclient"
)

// listed is the API's answer about a template in a list.
type listed struct {
	TemplateID    string     `json:"templateID"`
	BuildID       string     `json:"buildID"`
	BuildStatus   string     `json:"buildStatus"`
	Names         []string   `json:"names"`
	Public        bool       `json:"public"`
	CPUCount      int        `json:"cpuCount"`
	MemoryMB      int        `json:"memoryMB"`
	DiskSizeMB    int        `json:"diskSizeMB"`
	SpawnCount    int64      `json:"spawnCount"`
	UpdatedAt     time.Time  `json:"updatedAt"`
	LastSpawnedAt *time.Time `json:"lastSpawnedAt"`
}

// detailed is the API's answer about one template.
type detailed struct {
	TemplateID string   `json:"templateID"`
	Names      []string `json:"names"`
	Public     bool     `json:"public"`
	SpawnCount int64    `json:"spawnCount"`
	Builds     []built  `json:"builds"`
}

// built is a build of a template.
type built struct {
	BuildID    string     `json:"buildID"`
	Status     string     `json:"status"`
	CreatedAt  time.Time  `json:"createdAt"`
	FinishedAt *time.Time `json:"finishedAt,omitempty"`
	CPUCount   int        `json:"cpuCount"`
	MemoryMB   int        `json:"memoryMB"`
	DiskSizeMB int        `json:"diskSizeMB"`
}

func (c *commands) newList() *cobra.Command {
	asJSON := false
	command := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Args: cobra.NoArgs,
		Short:   "List the team's templates and those of the installation",
		Example: "  wrenn template list --json | jq -r '.[].names[]'",
		RunE: c.run(func(ctx context.Context, a *apiclient.API, _ []string) error {
			all, err := apiclient.All[listed](ctx, a, "/templates", nil)
			if err != nil {
				return fmt.Errorf("list templates: %w", err)
			}
			if asJSON {
				return cli.PrintJSON(c.Output, all)
			}
			return c.printTable(all)
		}),
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return command
}

func (c *commands) printTable(templates []listed) error {
	if len(templates) == 0 {
		fmt.Fprintln(c.Errors, "no templates; build one with: wrenn template build")
		return nil
	}
	table := tabwriter.NewWriter(c.Output, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tTEMPLATE\tSTATUS\tCPU\tMEMORY\tDISK\tPUBLIC\tSANDBOXES\tUPDATED")
	for _, t := range templates {
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d MiB\t%d MiB\t%s\t%d\t%s\n",
			cmp.Or(strings.Join(t.Names, ","), "-"), t.TemplateID, t.BuildStatus, t.CPUCount, t.MemoryMB, t.DiskSizeMB,
			yesOrNo(t.Public), t.SpawnCount, t.UpdatedAt.Local().Format(time.DateTime))
	}
	return table.Flush()
}

func yesOrNo(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

func (c *commands) newShow() *cobra.Command {
	asJSON := false
	command := &cobra.Command{
		Use: "show TEMPLATE", Short: "Show a template with its newest builds", Args: cobra.ExactArgs(1),
		Example: "  wrenn template show my-template",
		RunE: c.run(func(ctx context.Context, a *apiclient.API, arguments []string) error {
			var found detailed
			if _, err := a.Call(ctx, http.MethodGet, path(arguments[0], ""), nil, &found); err != nil {
				return fmt.Errorf("show %s: %w", arguments[0], err)
			}
			if asJSON {
				return cli.PrintJSON(c.Output, found)
			}
			return c.printDetails(found)
		}),
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return command
}

func (c *commands) printDetails(of detailed) error {
	fmt.Fprintf(c.Output, "%s (%s), public: %s, sandboxes created: %d\n\n",
		cmp.Or(strings.Join(of.Names, ", "), "no name"), of.TemplateID, yesOrNo(of.Public), of.SpawnCount)
	table := tabwriter.NewWriter(c.Output, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "BUILD\tSTATUS\tCPU\tMEMORY\tDISK\tCREATED\tTOOK")
	for _, b := range of.Builds {
		took := "-"
		if b.FinishedAt != nil {
			took = b.FinishedAt.Sub(b.CreatedAt).Round(100 * time.Millisecond).String()
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%d MiB\t%d MiB\t%s\t%s\n",
			b.BuildID, b.Status, b.CPUCount, b.MemoryMB, b.DiskSizeMB, b.CreatedAt.Local().Format(time.DateTime), took)
	}
	return table.Flush()
}
