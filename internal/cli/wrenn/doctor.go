package wrenn

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
	"git.omukk.dev/wrenn/sandbox/internal/doctor"
	"git.omukk.dev/wrenn/sandbox/internal/hostagent/choice"
	"git.omukk.dev/wrenn/sandbox/internal/up"
	"git.omukk.dev/wrenn/sandbox/pkg/settings"
)

func newDoctor(s cli.Streams) *cobra.Command {
	var config up.Config
	reader := settings.New(&config)
	asJSON := false
	command := &cobra.Command{
		Use:   "doctor",
		Short: "Check whether this machine can run Wrenn, and print how to fix what is missing",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := cli.ReadSettings(reader); err != nil {
				return err
			}
			checks := config.Checks()
			checks.Chosen = func() (doctor.Chosen, error) {
				chosen, err := choice.Summarise(config.DataDir)
				return doctor.Chosen(chosen), err
			}
			var err error
			if _, checks.Running, err = (up.Layout{DataDir: config.DataDir}).URL(); err != nil {
				return err
			}
			results := doctor.Examine(command.Context(), checks)
			if err := printResults(s.Output, results, asJSON); err != nil {
				return err
			}
			for _, result := range results {
				if result.Status == doctor.Fail {
					return cli.ExitError(cli.ExitFailure)
				}
			}
			return nil
		},
	}
	cli.AddFlags(command.Flags(), reader, "data-dir", "listen")
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return command
}

func printResults(out io.Writer, results []doctor.Result, asJSON bool) error {
	if asJSON {
		return cli.PrintJSON(out, results)
	}
	for _, result := range results {
		fmt.Fprintf(out, "%-4s  %-14s  %s\n", result.Status, result.Name, result.Detail)
		if result.Fix != "" {
			fmt.Fprintf(out, "      %-14s  → %s\n", "", result.Fix)
		}
	}
	return nil
}
