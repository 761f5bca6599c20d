package sandbox

import "time"

// Level is how much a line of a sandbox's log matters.
type Level string

// The levels.
const (
	Debug Level = "debug"
	Info  Level = "info"
	Warn  Level = "warn"
	Error Level = "error"
)

// Levels returns all levels, the least important first.
func Levels() []Level { return []Level{Debug, Info, Warn, Error} }

// LogLine is one line of a sandbox's log.
type LogLine struct {
	At      time.Time
	Level   Level
	Message string
	Fields  map[string]string
}
