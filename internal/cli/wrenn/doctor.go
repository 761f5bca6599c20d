package wrenn

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
	"git.omukk.dev/wrenn/sandbox/internal/doctor"
	"git.omukk.dev/wrenn/sandbox/internal/installation"
	"git.omukk.dev/wrenn/sandbox/internal/up"
)

func newDoctor(s cli.Streams) *cobra.Command {
	var dataDir, listen string
	asJSON := false
	command := &cobra.Command{
		Use:   "doctor",
		Short: "Check whether this machine can run Wrenn, and print how to fix what is missing",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			envd, err := installation.FindEnvd()
			if err != nil {
				return err
			}
			_, running, err := up.Layout{DataDir: dataDir}.URL()
			if err != nil {
				return err
			}
			results := doctor.Examine(command.Context(), doctor.Options{
				DataDir: dataDir, CacheDir: cli.EnvironmentOr("WRENN_CACHE_DIR", installation.DefaultCacheDir), Listen: listen,
				Running: running, EnvdPath: envd, ExternalDatabase: os.Getenv("DATABASE_URL") != "",
				Driver: os.Getenv("WRENN_DRIVER"),
			})
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
	cli.AddDataDirFlag(command.Flags(), &dataDir)
	command.Flags().StringVar(&listen, "listen", cli.EnvironmentOr("WRENN_LISTEN", up.DefaultListen), "address on which the API is to listen (WRENN_LISTEN)")
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return command
}

func printResults(out io.Writer, results []doctor.Result, asJSON bool) error {
	if asJSON {
		return printJSON(out, results)
	}
	for _, result := range results {
		fmt.Fprintf(out, "%-4s  %-14s  %s\n", result.Status, result.Name, result.Detail)
		if result.Fix != "" {
			fmt.Fprintf(out, "      %-14s  → %s\n", "", result.Fix)
		}
	}
	return nil
}

func printJSON(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}
