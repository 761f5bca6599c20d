package wrenn

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
	"git.omukk.dev/wrenn/sandbox/internal/up"
	"git.omukk.dev/wrenn/sandbox/internal/version"
	"git.omukk.dev/wrenn/sandbox/pkg/cpserver"
	"git.omukk.dev/wrenn/sandbox/pkg/settings"
)

func newUp(s cli.Streams, options []cpserver.Option) *cobra.Command {
	upConfig := up.Config{Version: version.String(), Out: s.Output}
	reader := settings.New(&upConfig)
	detach := false
	command := &cobra.Command{
		Use:   "up",
		Short: "Run all of Wrenn on this machine",
		Long: `Run all of Wrenn on this machine: PostgreSQL, the host agent and the control
plane. It prints the URL of the API and, to a terminal, an API key. Ctrl-C pauses
all sandboxes and stops; the next start finds them again. Needs root.

If DATABASE_URL is set, that PostgreSQL is used instead of a private one. "wrenn
config" prints all settings.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := checkSettings(reader, &upConfig, s, options); err != nil {
				return err
			}
			if detach {
				return up.Detach(command.Context(), upConfig)
			}
			return up.Run(command.Context(), upConfig)
		},
	}
	flags := command.Flags()
	cli.AddFlags(flags, reader)
	flags.BoolVarP(&detach, "detach", "d", false, "run in the background, and return when it is ready")
	flags.BoolVar(&upConfig.Replace, "replace", false, "first stop a running Wrenn of another build")
	return command
}

// checkSettings reads the settings of wrenn up, and checks those of the programs that
// it starts before it starts any.
func checkSettings(reader *settings.Reader, upConfig *up.Config, s cli.Streams, options []cpserver.Option) error {
	failures := []error{cli.ReadSettings(reader)}
	environment := settings.Environment(os.Environ())
	programs, err := startedBy(upConfig, options)
	if err != nil {
		return err
	}
	var names []string
	for _, program := range programs {
		failures = append(failures, program.reader.Read(program.set, environment))
		names = append(names, program.reader.Names()...)
	}
	unknown, err := settings.CheckNames(os.Environ(), names...)
	for _, warning := range unknown {
		fmt.Fprintln(s.Errors, "warning: "+warning)
	}
	return eachOnce(append(failures, err))
}

// eachOnce joins errors, where each may be several lines, without repeating a line:
// programs share settings.
func eachOnce(failures []error) error {
	var lines []string
	for _, failure := range failures {
		if failure == nil {
			continue
		}
		for line := range strings.Lines(failure.Error()) {
			if line = strings.TrimSpace(line); !slices.Contains(lines, line) {
				lines = append(lines, line)
			}
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return errors.New(strings.Join(lines, "\n"))
}

func newDown(s cli.Streams) *cobra.Command {
	config := up.Config{Version: version.String(), Out: s.Output}
	reader := settings.New(&config)
	command := &cobra.Command{
		Use:   "down",
		Short: "Pause all sandboxes and stop Wrenn",
		Long: `Pause all sandboxes and stop Wrenn. If it was killed, pause the sandboxes that it
left running and remove what it left on the machine.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := cli.ReadSettings(reader); err != nil {
				return err
			}
			return up.Down(command.Context(), config)
		},
	}
	cli.AddFlags(command.Flags(), reader, "data-dir")
	return command
}
