package cpserver

import (
	"context"
	"io"
	"log/slog"
	"net"

	"git.omukk.dev/wrenn/sandbox/pkg/config"
	"git.omukk.dev/wrenn/sandbox/pkg/cpextension"
	"git.omukk.dev/wrenn/sandbox/pkg/identity"
	"git.omukk.dev/wrenn/sandbox/pkg/mail"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
)

// Option is an argument of Run.
type Option func(*options)

// WithConfig sets the configuration. Without it, Run reads the environment.
func WithConfig(config config.Config) Option {
	return func(o *options) { o.config = &config }
}

// WithLogger sets the logger. Without it, Run logs to standard error in the configured
// format.
func WithLogger(log *slog.Logger) Option {
	return func(o *options) { o.log = log }
}

// WithVersion sets the version that the server reports.
func WithVersion(version string) Option {
	return func(o *options) { o.version = version }
}

// WithExtensions adds extensions, which are started in this order. It may be passed
// several times.
func WithExtensions(extensions ...cpextension.Extension) Option {
	return func(o *options) { o.extensions = append(o.extensions, extensions...) }
}

// WithListener sets the listener, in place of the configured address. The server closes
// it.
func WithListener(listener net.Listener) Option {
	return func(o *options) { o.listener = listener }
}

// WithScheduler sets the function that makes the scheduler, which chooses the hosts of
// sandboxes. Without it, sandboxes are spread evenly. The limits of hosts are checked
// again after the scheduler's choice.
func WithScheduler(factory func(ctx context.Context, base Base) (scheduler.Scheduler, error)) Option {
	return func(o *options) { o.makeScheduler = factory }
}

// WithMailer sets the function that makes the mailer, in place of the configured mail
// server.
func WithMailer(factory func(ctx context.Context, base Base) (mail.Mailer, error)) Option {
	return func(o *options) { o.makeMailer = factory }
}

// WithIdentityProvider adds a way to sign in to the configured ones. It may be passed
// several times. An extension that must be configured first calls
// identity.Service.AddProvider in its Start instead.
func WithIdentityProvider(provider identity.Provider) Option {
	return func(o *options) { o.providers = append(o.providers, provider) }
}

// WithOutput sets the writer of messages for the person who starts the server, such as
// the first admin's link. Without it, they go to standard output.
func WithOutput(output io.Writer) Option {
	return func(o *options) { o.output = output }
}
