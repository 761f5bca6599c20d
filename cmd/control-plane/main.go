// Command control-plane runs Wrenn's control plane, configured by environment
// variables.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"git.omukk.dev/wrenn/sandbox/internal/version"
	"git.omukk.dev/wrenn/sandbox/pkg/cpserver"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := cpserver.Run(ctx, cpserver.WithVersion(version.String())); err != nil {
		fmt.Fprintln(os.Stderr, "wrenn-control-plane:", err)
		os.Exit(1)
	}
}
