package wrenn

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
	"git.omukk.dev/wrenn/sandbox/internal/cli/hostagent"
	"git.omukk.dev/wrenn/sandbox/internal/version"
	"git.omukk.dev/wrenn/sandbox/pkg/cpserver"
)

// lifelineFD is where `wrenn up` puts the file that its children hold open for
// as long as they live.
const lifelineFD = 3

// newInternal holds the commands that `wrenn up` runs as its children.
func newInternal(s cli.Streams, options []cpserver.Option) *cobra.Command {
	command := &cobra.Command{Use: "internal", Hidden: true, Short: "The parts that wrenn up runs"}
	controlPlane := &cobra.Command{
		Use:   "control-plane",
		Short: "Serve the API and the way to the sandboxes",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			all := append([]cpserver.Option{cpserver.WithVersion(version.String())}, options...)
			return cpserver.Run(command.Context(), all...)
		},
	}
	controlPlane.PreRunE = becomeChild("wrenn-control")
	// What runs is paused when "wrenn up" ends.
	const keepRunning = false
	hostAgent := hostagent.NewCommand(s, keepRunning)
	hostAgent.Use = "host-agent"
	hostAgent.PreRunE = becomeChild("wrenn-agent")
	command.AddCommand(controlPlane, hostAgent)
	return command
}

// becomeChild gives the process a name of its own in process lists, and keeps
// the lifeline from what it starts itself: VMs outlive their host agent.
func becomeChild(name string) func(*cobra.Command, []string) error {
	return func(*cobra.Command, []string) error {
		unix.CloseOnExec(lifelineFD)
		if err := os.WriteFile("/proc/self/comm", []byte(name), 0); err != nil {
			return fmt.Errorf("name the process: %w", err)
		}
		return nil
	}
}
