package hostagent

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
	"git.omukk.dev/wrenn/sandbox/internal/hostagent"
)

// newJoin makes the command that joins a fleet.
func newJoin(s cli.Streams) *cobra.Command {
	var options hostagent.JoinOptions
	command := &cobra.Command{
		Use:   "join",
		Short: "Make this machine a host of a fleet",
		Long: `Make this machine a host of a fleet, with a token of "wrenn host token". The host's
private key is made here and does not leave this machine. At its next start the agent
serves the fleet's control planes at the address, and no other clients.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			hostID, err := hostagent.Join(command.Context(), options)
			if err != nil {
				return fmt.Errorf("join: %w", err)
			}
			fmt.Fprintf(s.Output, "this machine is host %s; start wrenn-host-agent, or restart it\n", hostID)
			return nil
		},
	}
	cli.AddDataDirFlag(command.Flags(), &options.DataDir)
	flags := command.Flags()
	flags.StringVar(&options.Server, "server", os.Getenv("WRENN_SERVER"), "URL of the control plane (WRENN_SERVER)")
	flags.StringVar(&options.Token, "token", os.Getenv("WRENN_HOST_TOKEN"), "token of wrenn host token (WRENN_HOST_TOKEN, which other users of this machine cannot see)")
	flags.StringVar(&options.Name, "name", "", "name of the host (default this machine's name)")
	flags.StringVar(&options.Address, "address", "", "IP address and port at which control planes reach this machine")
	flags.StringVar(&options.Listen, "listen", "", "address on which to listen for control planes (default the port of --address on every network)")
	flags.BoolVar(&options.Insecure, "insecure", false, "allow a URL of the server that is not https")
	return command
}
