// Package cli runs the command lines of Wrenn's programs. Each program's commands
// are in a package of their own below it.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"git.omukk.dev/wrenn/sandbox/internal/version"
)

const (
	// ExitFailure is the exit code of a program that failed.
	ExitFailure = 1
	// ExitInterrupted is 128 + SIGINT, as in shells.
	ExitInterrupted = 130
)

// ErrorPrefix starts the line on standard error that says why a program failed.
const ErrorPrefix = "wrenn: "

// ExitError ends the program with its exit code and prints no message.
type ExitError int

// Error returns the exit code as text.
func (e ExitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// Streams are the program's standard files. Messages for people go to Errors, so that
// Output can be piped.
type Streams struct {
	Input  *os.File
	Output io.Writer
	Errors io.Writer
}

// Main runs a program's command until it ends or is interrupted, and returns the exit
// code.
func Main(arguments []string, newCommand func(Streams) *cobra.Command) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	s := Streams{Input: os.Stdin, Output: os.Stdout, Errors: os.Stderr}
	return Execute(ctx, newCommand(s), arguments, s)
}

// Execute runs a command and returns its exit code. A failure is one line on the
// error stream.
func Execute(ctx context.Context, command *cobra.Command, arguments []string, s Streams) int {
	command.Version = version.String()
	command.SetVersionTemplate("{{.Version}}\n")
	command.SilenceErrors, command.SilenceUsage = true, true
	command.SetArgs(arguments)
	command.SetIn(s.Input)
	command.SetOut(s.Output)
	command.SetErr(s.Errors)
	err := command.ExecuteContext(ctx)
	var code ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return ExitInterrupted
	}
	// Scripts and logs are read by lines, and an error may contain several.
	fmt.Fprintln(s.Errors, ErrorPrefix+strings.Join(strings.Fields(err.Error()), " "))
	return ExitFailure
}

// PrintJSON prints a value as indented JSON.
func PrintJSON(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}
