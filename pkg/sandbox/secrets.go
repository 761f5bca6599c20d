package sandbox

import (
	"fmt"
	"log/slog"
)

// Secrets are the values that placeholders stand for, by name in lower case. They are
// never written to a disk or a log.
type Secrets struct {
	Values map[string]string
	// Revision says which they are; empty for none.
	Revision string
}

// LogValue keeps values out of logs.
func (s Secrets) LogValue() slog.Value { return slog.StringValue(s.Revision) }

// Format keeps values out of messages.
func (s Secrets) Format(state fmt.State, _ rune) { fmt.Fprintf(state, "secrets %q", s.Revision) }
