package cpserver

import (
	"io"
	"log/slog"
	"net"

	"git.omukk.dev/wrenn/sandbox/pkg/config"
	"git.omukk.dev/wrenn/sandbox/pkg/cpextension"
	"git.omukk.dev/wrenn/sandbox/pkg/mail"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
)

// Option changes how the server is built.
type Option func(*server)

// WithConfig gives the configuration. Without it, Run reads the environment.
func WithConfig(config config.Config) Option {
	return func(s *server) { s.config = &config }
}

// WithLogger gives the logger. Without it, Run logs to standard error as the
// configuration says.
func WithLogger(log *slog.Logger) Option {
	return func(s *server) { s.log = log }
}

// WithVersion gives the version that the server says it is.
func WithVersion(version string) Option {
	return func(s *server) { s.version = version }
}

// WithExtensions adds extensions, which are started in this order. It may be given
// more than once.
func WithExtensions(extensions ...cpextension.Extension) Option {
	return func(s *server) { s.given = append(s.given, extensions...) }
}

// WithListener gives the listener, in place of the one that the configuration
// names. The server closes it.
func WithListener(listener net.Listener) Option {
	return func(s *server) { s.listener = listener }
}

// WithScheduler gives what chooses the hosts of sandboxes. Without it, they are
// spread evenly.
func WithScheduler(chooser scheduler.Scheduler) Option {
	return func(s *server) { s.scheduler = chooser }
}

// WithMailer gives what sends mail, in place of the mail server that the
// configuration names.
func WithMailer(mailer mail.Mailer) Option {
	return func(s *server) { s.mailer = mailer }
}

// WithOutput says where messages for the person who starts the server go, among
// them the first admin's link. Without it, that is standard output.
func WithOutput(output io.Writer) Option {
	return func(s *server) { s.output = output }
}
