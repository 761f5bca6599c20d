// Package cli is the wrenn command line.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"git.omukk.dev/wrenn/sandbox/internal/up"
	"git.omukk.dev/wrenn/sandbox/internal/version"
)

const (
	exitFailure = 1
	// exitInterrupted is 128 + SIGINT, as shells have it.
	exitInterrupted = 130
)

// exitError ends the program with an exit code of its own and no message.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// streams are the program's standard files; chatter goes to errors, so that
// output can be piped.
type streams struct {
	input  *os.File
	output io.Writer
	errors io.Writer
}

// Main runs the program and returns its exit code.
func Main(arguments []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	s := streams{input: os.Stdin, output: os.Stdout, errors: os.Stderr}
	return execute(ctx, newRoot(s), arguments, s)
}

// execute runs a command and says in one line why it failed.
func execute(ctx context.Context, command *cobra.Command, arguments []string, s streams) int {
	command.SetArgs(arguments)
	command.SetIn(s.input)
	command.SetOut(s.output)
	command.SetErr(s.errors)
	err := command.ExecuteContext(ctx)
	var code exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return exitInterrupted
	}
	// One line, whatever the error: scripts and logs are read by lines.
	fmt.Fprintln(s.errors, up.ErrorPrefix+strings.Join(strings.Fields(err.Error()), " "))
	return exitFailure
}

func newRoot(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:           "wrenn",
		Short:         "Isolated Linux machines for AI agents, on your own hardware",
		Version:       version.String(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.AddCommand(newUp(s), newDown(s), newDoctor(s), newSandbox(s), newHost(s), newKeys(s), newEnv(s), newInternal(s))
	return root
}

// addDataDirFlag gives a command the flag that names an installation.
func addDataDirFlag(command *cobra.Command, dataDir *string) {
	command.Flags().StringVar(dataDir, "data-dir", environmentOr("WRENN_DATA_DIR", up.DefaultDataDir),
		"where Wrenn keeps its data (WRENN_DATA_DIR)")
}

func environmentOr(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}
