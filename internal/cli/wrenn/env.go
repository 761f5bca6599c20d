package wrenn

import (
	"fmt"

	"github.com/spf13/cobra"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
	"git.omukk.dev/wrenn/sandbox/internal/cli/apiclient"
	"git.omukk.dev/wrenn/sandbox/internal/up"
)

// newEnv makes the command whose output a shell evaluates.
func newEnv(s cli.Streams) *cobra.Command {
	c := apiclient.New()
	command := &cobra.Command{
		Use:   "env",
		Short: "Print the environment variables with which E2B's SDKs use the running Wrenn",
		Long: `Print shell commands that set the environment variables with which E2B's SDKs use
the running Wrenn:

  eval "$(sudo wrenn env)"`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := c.Read(); err != nil {
				return err
			}
			a, err := apiclient.ConnectLocal(c.DataDir)
			if err != nil {
				return err
			}
			fmt.Fprint(s.Output, up.Exports(a.URL, a.Key()))
			return nil
		},
	}
	c.AddFlags(command.Flags())
	return command
}
