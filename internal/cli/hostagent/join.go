package hostagent

import (
	"fmt"

	"github.com/spf13/cobra"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
	"git.omukk.dev/wrenn/sandbox/internal/hostagent"
	"git.omukk.dev/wrenn/sandbox/pkg/settings"
)

// newJoin makes the command that joins a fleet.
func newJoin(s cli.Streams) *cobra.Command {
	var options hostagent.JoinOptions
	reader := settings.New(&options)
	command := &cobra.Command{
		Use:   "join",
		Short: "Make this machine a host of a fleet",
		Long: `Make this machine a host of a fleet, with a token of "wrenn host token". The host's
private key is made here and does not leave this machine. At its next start the agent
serves the fleet's control planes at the address, and no other clients.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := cli.ReadSettings(reader); err != nil {
				return err
			}
			hostID, err := hostagent.Join(command.Context(), options)
			if err != nil {
				return fmt.Errorf("join: %w", err)
			}
			fmt.Fprintf(s.Output, "this machine is host %s; start wrenn-host-agent, or restart it\n", hostID)
			return nil
		},
	}
	flags := command.Flags()
	cli.AddFlags(flags, reader)
	flags.StringVar(&options.Name, "name", "", "name of the host (default this machine's name)")
	flags.StringVar(&options.Address, "address", "", "IP address and port at which control planes reach this machine")
	flags.StringVar(&options.Listen, "listen", "", "address on which to listen for control planes (default the port of --address on every network)")
	flags.BoolVar(&options.Insecure, "insecure", false, "allow a URL of the server that is not https")
	return command
}
