package cpserver

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"git.omukk.dev/wrenn/sandbox/pkg/config"
	"git.omukk.dev/wrenn/sandbox/pkg/cpextension"
	"git.omukk.dev/wrenn/sandbox/pkg/requestlog"
	"git.omukk.dev/wrenn/sandbox/pkg/settings"
)

// Settings returns a reader of the settings that Run reads with the same options: the
// control plane's own and those of extensions.
func Settings(changes ...Option) (*settings.Reader, error) {
	o := &options{}
	for _, change := range changes {
		change(o)
	}
	return o.reader(new(config.Config))
}

// reader returns a reader that fills the configuration, unless it is nil, and those of
// extensions.
func (o *options) reader(into *config.Config) (reader *settings.Reader, err error) {
	defer func() {
		if wrong := recover(); wrong != nil {
			reader, err = nil, fmt.Errorf("settings of extensions: %v", wrong)
		}
	}()
	var structs []any
	if into != nil {
		structs = append(structs, into)
	}
	for _, extension := range o.extensions {
		if configured, has := extension.(cpextension.Configured); has {
			structs = append(structs, configured.Configuration())
		}
	}
	return settings.New(structs...), nil
}

// configure fills the configurations of extensions, and returns the control plane's and
// the log. The control plane's is read unless it was passed to Run.
func (o *options) configure() (config.Config, *slog.Logger, error) {
	read := &config.Config{}
	into := read
	if o.config != nil {
		read, into = o.config, nil
	}
	reader, err := o.reader(into)
	if err != nil {
		return config.Config{}, nil, err
	}
	variables := os.Environ()
	err = reader.Read(settings.Environment(variables))
	var unknown []string
	if into != nil {
		var namesErr error
		unknown, namesErr = settings.CheckNames(variables, reader.Names()...)
		err = errors.Join(err, namesErr)
	}
	if err != nil {
		return config.Config{}, nil, err
	}
	log := o.log
	if log == nil {
		log = read.Log.Logger(os.Stderr)
	}
	log = slog.New(requestlog.NewHandler(log.Handler()))
	for _, warning := range unknown {
		log.Warn("unknown setting", "reason", warning)
	}
	return *read, log, nil
}
