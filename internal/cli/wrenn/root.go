// Package wrenn is the command line of wrenn, the program that runs all of Wrenn on
// one machine and is a client of its API.
package wrenn

import (
	"github.com/spf13/cobra"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
	"git.omukk.dev/wrenn/sandbox/internal/cli/mcp"
	"git.omukk.dev/wrenn/sandbox/internal/cli/template"
	"git.omukk.dev/wrenn/sandbox/pkg/cpserver"
)

// Main runs the program and returns its exit code. The options are for the control
// plane that "wrenn up" starts.
func Main(arguments []string, options ...cpserver.Option) int {
	return cli.Main(arguments, func(s cli.Streams) *cobra.Command { return newRoot(s, options) })
}

func newRoot(s cli.Streams, options []cpserver.Option) *cobra.Command {
	root := &cobra.Command{
		Use:   "wrenn",
		Short: "Isolated Linux machines for AI agents, on your own hardware",
	}
	root.AddCommand(newUp(s, options), newDown(s), newDoctor(s), newConfig(s, options), newSandbox(s), template.New(s), mcp.New(s), newHost(s), newTeam(s), newKeys(s), newEnv(s), newInternal(s, options))
	return root
}
