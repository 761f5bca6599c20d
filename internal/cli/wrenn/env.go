package wrenn

import (
	"fmt"

	"github.com/spf13/cobra"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
	"git.omukk.dev/wrenn/sandbox/internal/up"
)

// newEnv makes the command whose output a shell evaluates.
func newEnv(s cli.Streams) *cobra.Command {
	c := newClient()
	command := &cobra.Command{
		Use:   "env",
		Short: "Print the environment variables with which E2B's SDKs use the running Wrenn",
		Long: `Print shell commands that set the environment variables with which E2B's SDKs use
the running Wrenn:

  eval "$(sudo wrenn env)"`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := c.read(); err != nil {
				return err
			}
			a, err := connectLocal(c.DataDir)
			if err != nil {
				return err
			}
			fmt.Fprint(s.Output, up.Exports(a.url, a.key))
			return nil
		},
	}
	c.addFlags(command.Flags())
	return command
}
