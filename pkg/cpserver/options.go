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

// Option changes how the server is built.
type Option func(*options)

// WithConfig gives the configuration. Without it, Run reads the environment.
func WithConfig(config config.Config) Option {
	return func(o *options) { o.config = &config }
}

// WithLogger gives the logger. Without it, Run logs to standard error as the
// configuration says.
func WithLogger(log *slog.Logger) Option {
	return func(o *options) { o.log = log }
}

// WithVersion gives the version that the server says it is.
func WithVersion(version string) Option {
	return func(o *options) { o.version = version }
}

// WithExtensions adds extensions, which are started in this order. It may be given
// more than once.
func WithExtensions(extensions ...cpextension.Extension) Option {
	return func(o *options) { o.extensions = append(o.extensions, extensions...) }
}

// WithListener gives the listener, in place of the one that the configuration
// names. The server closes it.
func WithListener(listener net.Listener) Option {
	return func(o *options) { o.listener = listener }
}

// WithScheduler gives what makes the scheduler, which chooses the hosts of sandboxes.
// Without it, sandboxes are spread evenly. What is placed is checked against the
// limits of hosts whatever the scheduler chose.
func WithScheduler(factory func(ctx context.Context, base Base) (scheduler.Scheduler, error)) Option {
	return func(o *options) { o.makeScheduler = factory }
}

// WithMailer gives what makes the mailer, in place of the mail server that the
// configuration names.
func WithMailer(factory func(ctx context.Context, base Base) (mail.Mailer, error)) Option {
	return func(o *options) { o.makeMailer = factory }
}

// WithIdentityProvider adds a way to sign in, beside those that the configuration
// names. It may be given more than once. An extension that has to be configured first
// calls identity.Service.AddProvider in its Start instead.
func WithIdentityProvider(provider identity.Provider) Option {
	return func(o *options) { o.providers = append(o.providers, provider) }
}

// WithOutput says where messages for the person who starts the server go, among
// them the first admin's link. Without it, that is standard output.
func WithOutput(output io.Writer) Option {
	return func(o *options) { o.output = output }
}
