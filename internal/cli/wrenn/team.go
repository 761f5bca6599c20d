package wrenn

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
	"git.omukk.dev/wrenn/sandbox/internal/cli/apiclient"
)

// teamCommand holds what all commands on teams need.
type teamCommand struct {
	cli.Streams
	client *apiclient.Settings
}

func newTeam(s cli.Streams) *cobra.Command {
	c := &teamCommand{Streams: s, client: apiclient.New()}
	command := &cobra.Command{
		Use:   "team",
		Short: "List teams, and say which isolation their sandboxes must have",
		Long: `List teams, and say which isolation their sandboxes must have. If Wrenn does not run on
this machine, set E2B_API_URL, and WRENN_ADMIN_TOKEN to the admin's token.`,
	}
	c.client.AddFlags(command.PersistentFlags())
	command.AddCommand(c.newList(), c.newSet())
	return command
}

// teamInfo is the API's answer about a team.
type teamInfo struct {
	TeamID    string    `json:"teamID"`
	Slug      string    `json:"slug"`
	Name      string    `json:"name"`
	Isolation string    `json:"isolation"`
	CreatedAt time.Time `json:"createdAt"`
}

func (c *teamCommand) newList() *cobra.Command {
	asJSON := false
	command := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List all teams", Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			a, err := c.client.ConnectAdmin()
			if err != nil {
				return err
			}
			teams, err := apiclient.All[teamInfo](command.Context(), a, "/admin/teams", nil)
			if err != nil {
				return fmt.Errorf("list teams: %w", err)
			}
			if asJSON {
				return cli.PrintJSON(c.Output, teams)
			}
			table := tabwriter.NewWriter(c.Output, 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "TEAM\tID\tISOLATION\tCREATED")
			for _, team := range teams {
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", team.Name, team.TeamID, team.Isolation, team.CreatedAt.Local().Format(time.DateTime))
			}
			return table.Flush()
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return command
}

func (c *teamCommand) newSet() *cobra.Command {
	isolation := ""
	command := &cobra.Command{
		Use: "set TEAM", Short: "Change what a team demands of the hosts of its sandboxes", Args: cobra.ExactArgs(1),
		Example: "  wrenn team set default --isolation vm",
		RunE: func(command *cobra.Command, arguments []string) error {
			if isolation == "" {
				return errors.New("--isolation is missing: vm, gvisor or any")
			}
			a, err := c.client.ConnectAdmin()
			if err != nil {
				return err
			}
			team, err := findTeam(command.Context(), a, arguments[0])
			if err == nil {
				_, err = a.Call(command.Context(), http.MethodPatch, "/teams/"+url.PathEscape(team.TeamID), map[string]string{"isolation": isolation}, &team)
			}
			if err != nil {
				return fmt.Errorf("set team %s: %w", arguments[0], err)
			}
			fmt.Fprintf(c.Output, "team %s demands isolation %s of what starts from now on\n", team.Name, team.Isolation)
			return nil
		},
	}
	command.Flags().StringVar(&isolation, "isolation", "", "what must stand between its sandboxes and their hosts: vm, gvisor or any")
	return command
}

// findTeam finds a team by its ID, its slug or, if only one has it, its name.
func findTeam(ctx context.Context, a *apiclient.API, given string) (teamInfo, error) {
	teams, err := apiclient.All[teamInfo](ctx, a, "/admin/teams", nil)
	if err != nil {
		return teamInfo{}, err
	}
	var named []teamInfo
	for _, team := range teams {
		if team.TeamID == given || team.Slug == given {
			return team, nil
		}
		if team.Name == given {
			named = append(named, team)
		}
	}
	switch len(named) {
	case 1:
		return named[0], nil
	case 0:
		return teamInfo{}, fmt.Errorf("there is no team %q; see: wrenn team list", given)
	default:
		return teamInfo{}, fmt.Errorf("%d teams are named %q; give the ID of one, see: wrenn team list", len(named), given)
	}
}
