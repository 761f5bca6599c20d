package settings

import (
	"fmt"
	"os"
	"reflect"
	"strings"
)

// Where a value is from.
const (
	SourceFlag        = "flag"
	SourceEnvironment = "environment"
	SourceDefault     = "default"
)

// Source has values of settings.
type Source struct {
	name   string
	values map[string]string
}

// From returns a source of values by the names of settings.
func From(name string, values map[string]string) Source { return Source{name: name, values: values} }

// Environment returns variables as os.Environ has them as a source.
func Environment(variables []string) Source {
	values := make(map[string]string, len(variables))
	for _, variable := range variables {
		name, value, _ := strings.Cut(variable, "=")
		values[name] = value
	}
	return From(SourceEnvironment, values)
}

// File reads a file of variables as systemd's EnvironmentFile has them: a line
// NAME=VALUE for each, where the value may be quoted; lines that begin with # or ;
// are comments.
func File(path string) (Source, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return Source{}, fmt.Errorf("read settings: %w", err)
	}
	values := map[string]string{}
	for number, line := range strings.Split(string(content), "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		name, value, found := strings.Cut(line, "=")
		if !found {
			return Source{}, fmt.Errorf("read settings: %s: line %d is not of the form NAME=VALUE", path, number+1)
		}
		values[strings.TrimSpace(name)] = unquoted(strings.TrimSpace(value))
	}
	return From("file "+path, values), nil
}

func unquoted(value string) string {
	if last := len(value) - 1; last > 0 && value[0] == value[last] && (value[0] == '"' || value[0] == '\'') {
		return value[1:last]
	}
	return value
}

// Flag is a command-line flag of a setting. It implements pflag.Value.
type Flag struct {
	// Setting is what the flag sets.
	Setting Setting
	reader  *Reader
}

// Flags returns the flags of all settings that have one.
func (r *Reader) Flags() []*Flag {
	var flags []*Flag
	for _, s := range r.settings {
		if s.Flag != "" {
			flags = append(flags, &Flag{Setting: *s, reader: r})
		}
	}
	return flags
}

// Usage says what the flag means, and which variable it overrides.
func (f *Flag) Usage() string {
	usage := f.Setting.Help + " (" + f.Setting.Name
	if f.Setting.Derived {
		usage += ", default " + f.Setting.Default
	}
	return usage + ")"
}

// String is what was given, or else the default.
func (f *Flag) String() string {
	if f.reader == nil { // pflag asks a zero value
		return ""
	}
	if given, found := f.reader.flags[f.Setting.Name]; found {
		return given
	}
	return f.Setting.fallback
}

// Set takes what was given; a list may be given in parts. Read checks it.
func (f *Flag) Set(text string) error {
	if given := f.reader.flags[f.Setting.Name]; given != "" && f.Setting.field.Kind() == reflect.Slice {
		text = given + "," + text
	}
	f.reader.flags[f.Setting.Name] = text
	return nil
}

// Type is what a command's help calls the value.
func (f *Flag) Type() string {
	kind := f.Setting.field.Type()
	switch {
	case kind == durationType:
		return "duration"
	case kind == networksType:
		return "networks"
	case kind.Kind() == reflect.Int, kind.Kind() == reflect.Int64, kind.Kind() == reflect.Float64:
		return "number"
	default:
		return kind.Kind().String()
	}
}
