package wrenn

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
	"git.omukk.dev/wrenn/sandbox/internal/hostagent"
	"git.omukk.dev/wrenn/sandbox/internal/up"
	"git.omukk.dev/wrenn/sandbox/pkg/cpserver"
	"git.omukk.dev/wrenn/sandbox/pkg/settings"
)

// program is one of Wrenn's programs and its settings.
type program struct {
	name   string
	reader *settings.Reader
	// set are settings that wrenn up gives it, whatever the environment has.
	set settings.Source
}

// What programs are called on the command line.
const (
	upProgram           = "up"
	controlPlaneProgram = "control-plane"
	hostAgentProgram    = "host-agent"
)

// startedBy returns the programs that a wrenn up starts, with the settings that it sets
// for them.
func startedBy(upConfig *up.Config, options []cpserver.Option) ([]program, error) {
	controlPlane, err := cpserver.Settings(options...)
	return []program{
		{controlPlaneProgram, controlPlane, settings.From("wrenn up", upConfig.ControlPlaneSettings())},
		{hostAgentProgram, settings.New(new(hostagent.Config)), settings.From("wrenn up", upConfig.HostAgentSettings())},
	}, err
}

// configCommand is wrenn config.
type configCommand struct {
	cli.Streams
	up      up.Config
	reader  *settings.Reader
	options []cpserver.Option // of the control plane
	envFile string
	json    bool
}

func newConfig(s cli.Streams, options []cpserver.Option) *cobra.Command {
	c := &configCommand{Streams: s, options: options}
	c.reader = settings.New(&c.up)
	command := &cobra.Command{
		Use:   "config [up|control-plane|host-agent]",
		Short: "Print each setting with its value, source, default and meaning",
		Long: `Print each setting of Wrenn's programs with its value, where that is from, its
default and its meaning. Passwords and tokens are hidden.

Without a name it prints what "wrenn up" and the programs that it starts would have
with these flags and in this environment. With one it prints what that program by
itself would have, as wrenn-control-plane and wrenn-host-agent do.

A service has its settings from a file: sudo wrenn config --env-file /etc/wrenn.env`,
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{upProgram, controlPlaneProgram, hostAgentProgram},
		RunE: func(command *cobra.Command, arguments []string) error {
			if len(arguments) == 1 && arguments[0] != upProgram {
				for _, flag := range c.reader.Flags() {
					if command.Flags().Changed(flag.Setting.Flag) {
						return fmt.Errorf("--%s is a flag of wrenn up; %s by itself does not have it", flag.Setting.Flag, arguments[0])
					}
				}
			}
			return c.run(arguments)
		},
	}
	flags := command.Flags()
	cli.AddFlags(flags, c.reader)
	flags.StringVar(&c.envFile, "env-file", "", "file with more settings, for those that the environment does not have")
	flags.BoolVar(&c.json, "json", false, "print JSON")
	return command
}

// shownSetting is a setting as JSON has it.
type shownSetting struct {
	Program string `json:"program"`
	settings.Value
}

func (c *configCommand) run(arguments []string) error {
	sources := []settings.Source{settings.Environment(os.Environ())}
	if c.envFile != "" {
		file, err := settings.File(c.envFile)
		if err != nil {
			return err
		}
		sources = append(sources, file)
	}
	programs, failures, err := c.programs(arguments, sources)
	if err != nil {
		return err
	}
	var shown []shownSetting
	var names []string
	for _, program := range programs {
		names = append(names, program.reader.Names()...)
		for _, value := range program.reader.Values() {
			shown = append(shown, shownSetting{Program: program.name, Value: value})
		}
	}
	unknown, err := settings.CheckNames(os.Environ(), names...)
	for _, warning := range unknown {
		fmt.Fprintln(c.Errors, "warning: "+warning)
	}
	failures = append(failures, err)
	if c.json {
		return errors.Join(cli.PrintJSON(c.Output, shown), eachOnce(failures))
	}
	printSettings(c.Output, shown)
	return eachOnce(failures)
}

// programs returns those that are asked for after reading their settings, and what is
// wrong with these.
func (c *configCommand) programs(arguments []string, sources []settings.Source) (programs []program, failures []error, err error) {
	failures = append(failures, c.reader.Read(sources...))
	if absolute, err := filepath.Abs(c.up.DataDir); err == nil {
		c.up.DataDir = absolute
	}
	started, err := startedBy(&c.up, c.options)
	if err != nil {
		return nil, nil, err
	}
	if len(arguments) == 0 {
		programs = started
	} else if arguments[0] != upProgram {
		failures = nil // of wrenn up, which is not asked for
		for _, each := range started {
			if each.name == arguments[0] {
				programs = append(programs, program{name: each.name, reader: each.reader})
			}
		}
	}
	for _, program := range programs {
		failures = append(failures, program.reader.Read(append([]settings.Source{program.set}, sources...)...))
	}
	if len(arguments) == 0 || arguments[0] == upProgram {
		programs = slices.Insert(programs, 0, program{name: upProgram, reader: c.reader})
	}
	return programs, failures, nil
}

// printSettings prints settings in groups of one program each.
func printSettings(out io.Writer, shown []shownSetting) {
	for i, setting := range shown {
		if i == 0 || shown[i-1].Program != setting.Program {
			if i > 0 {
				fmt.Fprintln(out)
			}
			fmt.Fprintf(out, "# %s\n", setting.Program)
		}
		from := setting.Source
		switch {
		case setting.Default == "" || setting.Default == setting.Value.Value:
		case from == settings.SourceDefault:
			from += ": " + setting.Default
		default:
			from += "; the default is " + setting.Default
		}
		fmt.Fprintf(out, "%s=%s  (%s)\n    %s\n", setting.Name, setting.Value.Value, from, setting.Help)
	}
}
