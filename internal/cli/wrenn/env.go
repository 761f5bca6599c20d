package wrenn

import (
	"fmt"

	"github.com/spf13/cobra"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
	"git.omukk.dev/wrenn/sandbox/internal/up"
)

// newEnv prints what a shell can evaluate.
func newEnv(s cli.Streams) *cobra.Command {
	var dataDir string
	command := &cobra.Command{
		Use:   "env",
		Short: "Print the URL and key of the running Wrenn, as E2B's SDKs want them",
		Long:  "Print what points E2B's SDKs at the running Wrenn, for:  eval \"$(sudo wrenn env)\"",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			a, err := connectLocal(dataDir)
			if err != nil {
				return err
			}
			fmt.Fprint(s.Output, up.Exports(a.url, a.key))
			return nil
		},
	}
	cli.AddDataDirFlag(command, &dataDir)
	return command
}
