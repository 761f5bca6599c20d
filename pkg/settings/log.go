package settings

import (
	"io"
	"log/slog"
)

// Log is what a program logs, and how.
type Log struct {
	Level slog.Level `env:"WRENN_LOG_LEVEL" default:"info" form:"debug, info, warn or error" help:"least level that is logged: debug, info, warn or error"`
	// Format is "text" or "json".
	Format string `env:"WRENN_LOG_FORMAT" default:"text" choices:"text,json" help:"text or json"`
}

// Logger returns a logger that writes to out.
func (l Log) Logger(out io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: l.Level}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(out, options))
	}
	return slog.New(slog.NewTextHandler(out, options))
}
