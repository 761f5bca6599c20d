// Package hostagent is the command line of wrenn-host-agent, the program that runs the
// VMs of one machine.
package hostagent

import (
	"errors"
	"fmt"
	stdlog "log" //nolint:depguard // where Go's HTTP client writes
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
	"git.omukk.dev/wrenn/sandbox/internal/hostagent"
	"git.omukk.dev/wrenn/sandbox/internal/version"
	"git.omukk.dev/wrenn/sandbox/pkg/settings"
)

// Main runs the program and returns its exit code.
func Main(arguments []string) int {
	return cli.Main(arguments, func(s cli.Streams) *cobra.Command {
		command := NewCommand(s)
		command.AddCommand(newJoin(s))
		return command
	})
}

// NewCommand returns the command that runs the host agent. It prints the progress of a
// slow start on standard output and its log on standard error.
func NewCommand(s cli.Streams) *cobra.Command {
	agent := hostagent.Config{Version: version.String()}
	reader := settings.New(&agent)
	command := &cobra.Command{
		Use:   "wrenn-host-agent",
		Short: "Run the sandboxes of this machine for a control plane",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			unknown, err := settings.CheckNames(os.Environ())
			if err := errors.Join(cli.ReadSettings(reader), err); err != nil {
				return err
			}
			agent.Log = agent.Logging.Logger(s.Errors)
			for _, warning := range unknown {
				agent.Log.Warn("unknown setting", "reason", warning)
			}
			// Go's HTTP client logs there when a guest sends data without a request.
			stdlog.SetFlags(0)
			stdlog.SetOutput(slog.NewLogLogger(agent.Log.Handler(), slog.LevelDebug).Writer())
			agent.Progress = func(line string) { fmt.Fprintln(s.Output, line) }
			return hostagent.Run(command.Context(), agent)
		},
	}
	cli.AddFlags(command.Flags(), reader)
	return command
}
