package wrenn

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
	"git.omukk.dev/wrenn/sandbox/internal/cli/hostagent"
	"git.omukk.dev/wrenn/sandbox/internal/up"
	"git.omukk.dev/wrenn/sandbox/internal/version"
	"git.omukk.dev/wrenn/sandbox/pkg/cpserver"
)

// newInternal returns the commands that "wrenn up" runs as its children.
func newInternal(s cli.Streams, options []cpserver.Option) *cobra.Command {
	command := &cobra.Command{Use: up.InternalCommand, Hidden: true, Short: "Run a part of Wrenn, as a child of wrenn up"}
	controlPlane := &cobra.Command{
		Use:   up.ControlPlaneCommand,
		Short: "Serve the API and the traffic to sandboxes",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			all := append([]cpserver.Option{cpserver.WithVersion(version.String())}, options...)
			return cpserver.Run(command.Context(), all...)
		},
	}
	controlPlane.PreRunE = becomeChild("wrenn-control")
	hostAgent := hostagent.NewCommand(s)
	hostAgent.Use = up.HostAgentCommand
	hostAgent.PreRunE = becomeChild("wrenn-agent")
	command.AddCommand(controlPlane, hostAgent)
	return command
}

// becomeChild sets the process's name in process lists, and closes the lifeline in the
// programs that it starts: VMs outlive their host agent.
func becomeChild(name string) func(*cobra.Command, []string) error {
	return func(*cobra.Command, []string) error {
		unix.CloseOnExec(up.LifelineFD)
		if err := os.WriteFile("/proc/self/comm", []byte(name), 0); err != nil {
			return fmt.Errorf("name the process: %w", err)
		}
		return nil
	}
}
