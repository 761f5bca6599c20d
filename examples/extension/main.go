// Command extension is a control plane whose teams pay with credits.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"example.com/credits/credits"

	"git.omukk.dev/wrenn/sandbox/pkg/cpserver"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := cpserver.Run(ctx, cpserver.WithVersion("credits-1"), cpserver.WithExtensions(credits.New())); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
