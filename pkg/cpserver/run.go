// Package cpserver is the control plane as a library: Run builds it from its parts,
// serves until its context ends, and stops the parts in reverse order.
package cpserver

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"

	"git.omukk.dev/wrenn/sandbox/internal/boot"
	"git.omukk.dev/wrenn/sandbox/pkg/config"
	"git.omukk.dev/wrenn/sandbox/pkg/cpextension"
	"git.omukk.dev/wrenn/sandbox/pkg/identity"
	"git.omukk.dev/wrenn/sandbox/pkg/mail"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
)

// options are what a program passes to Run.
type options struct {
	config   *config.Config // nil to read the environment
	log      *slog.Logger   // nil to log as the configuration says
	version  string
	listener net.Listener // nil to listen where the configuration says
	// makeMailer and makeScheduler are nil where the configuration decides.
	makeMailer    func(context.Context, Base) (mail.Mailer, error)
	makeScheduler func(context.Context, Base) (scheduler.Scheduler, error)
	providers     []identity.Provider // beside those of the configuration
	output        io.Writer           // for the person who starts the server
	extensions    []cpextension.Extension
	around        func(http.Handler) http.Handler // for tests: around the API, but not the traffic to sandboxes
}

// Run starts the control plane and serves until ctx ends. It then takes no more
// requests, pauses all sandboxes if the configuration says so, and returns.
func Run(ctx context.Context, changes ...Option) error {
	o := &options{output: os.Stdout}
	for _, change := range changes {
		change(o)
	}
	return boot.Run(ctx, o.start)
}
