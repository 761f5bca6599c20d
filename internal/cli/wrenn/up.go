package wrenn

import (
	"os"

	"github.com/spf13/cobra"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
	"git.omukk.dev/wrenn/sandbox/internal/installation"
	"git.omukk.dev/wrenn/sandbox/internal/up"
	"git.omukk.dev/wrenn/sandbox/internal/version"
)

func newUp(s cli.Streams) *cobra.Command {
	config := up.Config{Version: version.String(), Out: s.Output}
	detach := false
	command := &cobra.Command{
		Use:   "up",
		Short: "Run all of Wrenn on this machine",
		Long: `Run all of Wrenn on this machine: PostgreSQL, the host agent and the control
plane. It prints the URL of the API and, to a terminal, an API key. Ctrl-C pauses
all sandboxes and stops; the next start finds them again. Needs root.

If DATABASE_URL is set, that PostgreSQL is used instead of a private one.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			config.DatabaseURL = os.Getenv("DATABASE_URL")
			if err := findPrograms(&config); err != nil {
				return err
			}
			if detach {
				return up.Detach(command.Context(), config)
			}
			return up.Run(command.Context(), config)
		},
	}
	cli.AddDataDirFlag(command.Flags(), &config.DataDir)
	flags := command.Flags()
	flags.StringVar(&config.Listen, "listen", os.Getenv("WRENN_LISTEN"), "address for the API and the sandboxes (WRENN_LISTEN, default "+up.DefaultListen+")")
	flags.StringVar(&config.Domain, "domain", os.Getenv("WRENN_DOMAIN"), "domain under which sandboxes have host names (WRENN_DOMAIN, default localhost:PORT)")
	flags.BoolVarP(&detach, "detach", "d", false, "run in the background, and return when it is ready")
	flags.BoolVar(&config.Replace, "replace", false, "first stop a running Wrenn of another build")
	return command
}

// findPrograms sets the paths with which a host agent is started.
func findPrograms(config *up.Config) (err error) {
	config.CacheDir = cli.EnvironmentOr("WRENN_CACHE_DIR", installation.DefaultCacheDir)
	config.EnvdPath, err = installation.FindEnvd()
	return err
}

func newDown(s cli.Streams) *cobra.Command {
	config := up.Config{Version: version.String(), Out: s.Output}
	command := &cobra.Command{
		Use:   "down",
		Short: "Pause all sandboxes and stop Wrenn",
		Long: `Pause all sandboxes and stop Wrenn. If it was killed, pause the sandboxes that it
left running and remove what it left on the machine.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := findPrograms(&config); err != nil {
				return err
			}
			return up.Down(command.Context(), config)
		},
	}
	cli.AddDataDirFlag(command.Flags(), &config.DataDir)
	return command
}
