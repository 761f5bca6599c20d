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
plane. It prints the API's URL and, to a terminal, a key. Ctrl-C pauses what runs
and stops; the next start finds it again. Needs root.

With DATABASE_URL set, that PostgreSQL is used instead of a private one.`,
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
	cli.AddDataDirFlag(command, &config.DataDir)
	flags := command.Flags()
	flags.StringVar(&config.Listen, "listen", os.Getenv("WRENN_LISTEN"), "address for the API and the sandboxes (WRENN_LISTEN, default "+up.DefaultListen+")")
	flags.StringVar(&config.Domain, "domain", os.Getenv("WRENN_DOMAIN"), "what sandbox host names end in (WRENN_DOMAIN, default localhost:PORT)")
	flags.BoolVarP(&detach, "detach", "d", false, "return when it is ready and leave it running")
	flags.BoolVar(&config.Replace, "replace", false, "stop a running Wrenn of another build first")
	return command
}

// findPrograms completes what a host agent is started with.
func findPrograms(config *up.Config) (err error) {
	config.CacheDir = cli.EnvironmentOr("WRENN_CACHE_DIR", installation.DefaultCacheDir)
	config.EnvdPath, err = installation.FindEnvd()
	return err
}

func newDown(s cli.Streams) *cobra.Command {
	config := up.Config{Version: version.String(), Out: s.Output}
	command := &cobra.Command{
		Use:   "down",
		Short: "Pause what runs and stop Wrenn",
		Long: `Pause what runs and stop Wrenn. Where the last one was killed, what it left
running is paused and cleaned up.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := findPrograms(&config); err != nil {
				return err
			}
			return up.Down(command.Context(), config)
		},
	}
	cli.AddDataDirFlag(command, &config.DataDir)
	return command
}
