package hostagent

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
	"git.omukk.dev/wrenn/sandbox/internal/hostagent"
)

// newJoin is wrenn-host-agent join.
func newJoin(s cli.Streams) *cobra.Command {
	var options hostagent.JoinOptions
	command := &cobra.Command{
		Use:   "join",
		Short: "Make this machine a host of a fleet",
		Long: `Make this machine a host of a fleet, once: with a token from "wrenn host token".
The key is made here and stays here. When the agent starts it serves the fleet's
control planes at the address, and nobody else.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			hostID, err := hostagent.Join(command.Context(), options)
			if err != nil {
				return fmt.Errorf("join: %w", err)
			}
			fmt.Fprintf(s.Output, "this machine is host %s; start wrenn-host-agent, or start it again\n", hostID)
			return nil
		},
	}
	cli.AddDataDirFlag(command, &options.DataDir)
	flags := command.Flags()
	flags.StringVar(&options.Server, "server", os.Getenv("WRENN_SERVER"), "the control plane's URL (WRENN_SERVER)")
	flags.StringVar(&options.Token, "token", os.Getenv("WRENN_HOST_TOKEN"), "the token (WRENN_HOST_TOKEN, which other users of this machine do not see)")
	flags.StringVar(&options.Name, "name", "", "what the host is called (default this machine's name)")
	flags.StringVar(&options.Address, "address", "", "IP address and port at which control planes reach this machine")
	flags.StringVar(&options.Listen, "listen", "", "where to listen for them (default the address's port on every network)")
	flags.BoolVar(&options.Insecure, "insecure", false, "allow a server's URL that is not https")
	return command
}
