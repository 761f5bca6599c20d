package cpserver_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"git.omukk.dev/wrenn/sandbox/pkg/cpserver"
)

// An edition of the control plane is a main like this one. It is configured by the
// environment, as Wrenn's own is.
func Example() {
	main := func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		if err := cpserver.Run(ctx, cpserver.WithVersion("my-edition-1"), cpserver.WithExtensions(named("billing"))); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	_ = main
}
