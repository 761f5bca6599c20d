package wrenn

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
	"git.omukk.dev/wrenn/sandbox/internal/cli/apiclient"
)

// hostCommand holds what all commands on hosts need.
type hostCommand struct {
	cli.Streams
	client *apiclient.Settings
}

func newHost(s cli.Streams) *cobra.Command {
	c := &hostCommand{Streams: s, client: apiclient.New()}
	command := &cobra.Command{
		Use:   "host",
		Short: "Add hosts to the fleet, and remove them",
		Long: `Add hosts to the fleet, and remove them. If Wrenn does not run on this machine, set
E2B_API_URL, and WRENN_ADMIN_TOKEN to the admin's token.`,
	}
	c.client.AddFlags(command.PersistentFlags())
	command.AddCommand(c.newToken(), c.newList(), c.newShow(),
		c.newChange("drain", "Place no more sandboxes on a host, and pause those that it runs", http.MethodPost, "/drain"),
		c.newChange("undrain", "Place sandboxes on a drained host again", http.MethodPost, "/undrain"),
		c.newChange("revoke", "Revoke a host's certificates, and close all connections to it", http.MethodPost, "/revoke"),
		c.newRetire())
	return command
}

func (c *hostCommand) newToken() *cobra.Command {
	var tags []string
	lifetime := time.Hour
	command := &cobra.Command{
		Use:   "token",
		Short: "Make a token with which one machine can join the fleet",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			a, err := c.client.ConnectAdmin()
			if err != nil {
				return err
			}
			var made struct {
				Token     string    `json:"token"`
				ExpiresAt time.Time `json:"expiresAt"`
			}
			body := map[string]any{"tags": tags, "lifetimeSeconds": int(lifetime.Seconds())}
			if _, err := a.Call(command.Context(), http.MethodPost, "/hosts/tokens", body, &made); err != nil {
				return fmt.Errorf("make a token: %w", err)
			}
			fmt.Fprintln(c.Output, made.Token)
			fmt.Fprintf(c.Errors, "valid until %s, for one use; on the machine run: wrenn-host-agent join --server URL --address IP:PORT --token TOKEN\n",
				made.ExpiresAt.Local().Format(time.DateTime))
			return nil
		},
	}
	command.Flags().StringSliceVar(&tags, "tag", nil, "tag of the host; may be repeated")
	command.Flags().DurationVar(&lifetime, "lifetime", lifetime, "how long the token is valid, at most a week")
	return command
}

// hostInfo is the part of the API's answer about a host that is shown.
type hostInfo struct {
	HostID       string     `json:"hostID"`
	Name         string     `json:"name"`
	Address      string     `json:"address,omitempty"`
	Tags         []string   `json:"tags,omitempty"`
	State        string     `json:"state"`
	Isolation    string     `json:"isolation"`
	Driver       string     `json:"driver"`
	Accelerator  string     `json:"accelerator"`
	Version      string     `json:"version"`
	LastSeenAt   *time.Time `json:"lastSeenAt"`
	CPUCount     int        `json:"cpuCount"`
	MemoryMB     int        `json:"memoryMB"`
	SandboxCount int        `json:"sandboxCount"`
	PausedCount  int        `json:"pausedCount"`
	FailedCount  int        `json:"failedCount"`
}

// place is the address, for people.
func (h hostInfo) place() string { return cmp.Or(h.Address, "this control plane's") }

// seen is when it was heard of last, for people.
func (h hostInfo) seen() string {
	if h.LastSeenAt == nil {
		return "never"
	}
	return time.Since(*h.LastSeenAt).Round(time.Second).String() + " ago"
}

func (c *hostCommand) newList() *cobra.Command {
	asJSON := false
	command := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the hosts of the fleet",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			a, err := c.client.ConnectAdmin()
			if err != nil {
				return err
			}
			var hosts []hostInfo
			if _, err := a.Call(command.Context(), http.MethodGet, "/hosts", nil, &hosts); err != nil {
				return fmt.Errorf("list hosts: %w", err)
			}
			if asJSON {
				return cli.PrintJSON(c.Output, hosts)
			}
			return c.printTable(hosts)
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return command
}

func (c *hostCommand) printTable(hosts []hostInfo) error {
	table := tabwriter.NewWriter(c.Output, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "HOST\tSTATE\tADDRESS\tISOLATION\tCPU\tMEMORY\tRUNNING\tPAUSED\tFAILED\tSEEN")
	for _, h := range hosts {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%d MiB\t%d\t%d\t%d\t%s\n",
			h.Name, h.State, h.place(), cmp.Or(h.Isolation, "unknown"), h.CPUCount, h.MemoryMB, h.SandboxCount, h.PausedCount, h.FailedCount, h.seen())
	}
	return table.Flush()
}

// findHost finds a host by its ID or its name.
func findHost(ctx context.Context, a *apiclient.API, given string) (hostInfo, error) {
	var hosts []hostInfo
	if _, err := a.Call(ctx, http.MethodGet, "/hosts", nil, &hosts); err != nil {
		return hostInfo{}, err
	}
	for _, h := range hosts {
		if h.HostID == given || h.Name == given {
			return h, nil
		}
	}
	return hostInfo{}, fmt.Errorf("there is no host %q; see: wrenn host list", given)
}

func (c *hostCommand) newChange(verb, short, method, action string) *cobra.Command {
	return &cobra.Command{
		Use: verb + " HOST", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, arguments []string) error {
			return c.change(command.Context(), verb, arguments[0], method, action)
		},
	}
}

func (c *hostCommand) change(ctx context.Context, verb, given, method, action string) error {
	a, err := c.client.ConnectAdmin()
	if err != nil {
		return err
	}
	found, err := findHost(ctx, a, given)
	if err == nil {
		_, err = a.Call(ctx, method, "/hosts/"+url.PathEscape(found.HostID)+action, nil, nil)
	}
	if err != nil {
		return fmt.Errorf("%s host %s: %w", verb, given, err)
	}
	return nil
}

func (c *hostCommand) newRetire() *cobra.Command {
	force := false
	command := &cobra.Command{
		Use: "retire HOST", Short: "Remove a host from the fleet permanently", Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, arguments []string) error {
			return c.change(command.Context(), "retire", arguments[0], http.MethodDelete, fmt.Sprintf("?force=%t", force))
		},
	}
	command.Flags().BoolVar(&force, "force", false, "also if it has sandboxes, which are lost")
	return command
}
