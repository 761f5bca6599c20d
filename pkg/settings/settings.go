// Package settings fills the configuration of a program from flags, environment
// variables and files of them, as the tags of a struct say:
//
//	type Config struct {
//		Listen  string        `env:"WRENN_LISTEN" flag:"listen" default:"127.0.0.1:3000" help:"address of the API"`
//		Timeout time.Duration `env:"WRENN_MAX_TIMEOUT" default:"24h" help:"longest time to live of a sandbox"`
//		Limit   *int64        `env:"WRENN_VOLUME_MIB" default:"none" min:"0" help:"size of a volume"`
//	}
//
// The tags are:
//
//	env       the setting's name; a field without it is no setting
//	flag      the command-line flag that overrides it
//	default   its value where no source has one
//	derived   what its default is computed from, where Complete computes it
//	help      what it means
//	required  "true" where a source must have it
//	choices   the values that it may have, separated by commas
//	form      the form of its values, for messages: "an address and a port"
//	min, max  the range of a number
//	secret    "true" where its value is not to be shown, "url" where a password in it
//	          is not
//
// A field may be a string, bool, number, duration, a list of strings or networks, or
// an encoding.TextUnmarshaler. A pointer to a number may also be "none", which is nil.
// A nested struct's fields are settings too. An empty value is the same as none.
package settings

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Completer is a configuration that computes some settings from others, and checks
// them together.
type Completer interface {
	// Complete returns all that is wrong, each error beginning with a setting's name.
	Complete() error
}

// Setting is one field of a configuration.
type Setting struct {
	// Name is the environment variable.
	Name string
	// Flag is the command-line flag; it may be empty.
	Flag string
	// Default is the value where no source has one. Where Derived is set, it says what
	// that is computed from.
	Default string
	Derived bool
	// Required is set where a source must have a value.
	Required bool
	// Help is what the setting means.
	Help string

	fallback string // the tag "default"
	choices  []string
	form     string
	bounds   bounds
	secret   string
	field    reflect.Value
	source   string // empty where no source has a value
}

// bounds is the range of a number.
type bounds struct{ least, most *float64 }

// Reader fills configurations.
type Reader struct {
	into     []any
	settings []*Setting
	flags    map[string]string // what was given on the command line, by setting
}

// New returns a reader for pointers to structs. It panics where their tags are
// wrong, or where two fields have one name.
func New(into ...any) *Reader {
	r := &Reader{into: into, flags: map[string]string{}}
	for _, each := range into {
		r.add(reflect.ValueOf(each).Elem())
	}
	names := map[string]bool{}
	for _, s := range r.settings {
		if names[s.Name] {
			panic("settings: two fields are " + s.Name)
		}
		names[s.Name] = true
	}
	return r
}

func (r *Reader) add(structure reflect.Value) {
	for i := range structure.NumField() {
		field := structure.Type().Field(i)
		if name, found := field.Tag.Lookup("env"); found {
			r.settings = append(r.settings, newSetting(name, field, structure.Field(i)))
		} else if field.IsExported() && field.Type.Kind() == reflect.Struct {
			r.add(structure.Field(i))
		}
	}
}

func newSetting(name string, field reflect.StructField, value reflect.Value) *Setting {
	tag := field.Tag.Get
	s := &Setting{
		Name: name, Flag: tag("flag"), Default: tag("default"), Help: tag("help"),
		fallback: tag("default"), form: tag("form"),
		Required: tag("required") == "true", secret: tag("secret"), field: value,
		bounds: bounds{least: bound(name, tag("min")), most: bound(name, tag("max"))},
	}
	if choices := tag("choices"); choices != "" {
		s.choices = strings.Split(choices, ",")
	}
	if s.Help == "" {
		panic("settings: " + name + " has no help")
	}
	if _, err := s.parse(s.fallback); err != nil {
		panic(fmt.Sprintf("settings: the default of %s %v", name, err))
	}
	if derived := tag("derived"); derived != "" {
		s.Default, s.Derived = derived, true
	}
	return s
}

func bound(name, text string) *float64 {
	if text == "" {
		return nil
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic("settings: the range of " + name + ": " + err.Error())
	}
	return &value
}

// Settings returns all settings, in the order of the fields.
func (r *Reader) Settings() []Setting {
	all := make([]Setting, 0, len(r.settings))
	for _, s := range r.settings {
		all = append(all, *s)
	}
	return all
}

// Names returns the names of all settings.
func (r *Reader) Names() []string {
	names := make([]string, 0, len(r.settings))
	for _, s := range r.settings {
		names = append(names, s.Name)
	}
	return names
}

// Read fills the configurations: each setting from the flag that was given for it,
// else from the first source that has it, else with its default. Then it completes
// them. The error is all that is wrong, a line for each setting.
func (r *Reader) Read(sources ...Source) error {
	var failures []error
	for _, s := range r.settings {
		var text string
		if text, s.source = r.find(s.Name, sources); s.source == "" {
			text = s.fallback
		}
		switch err := s.set(text); {
		case err != nil:
			failures = append(failures, fmt.Errorf("%s %w", s.label(), err))
		case s.Required && s.source == "":
			failures = append(failures, fmt.Errorf("%s is not set", s.Name))
		}
	}
	return errors.Join(append(failures, r.complete())...)
}

// Check completes configurations that a program has filled itself. The error is all
// that is wrong: values outside of what their tags allow, and what Complete finds.
// Zero values are right.
func Check(into ...any) error {
	r := New(into...)
	var failures []error
	for _, s := range r.settings {
		if s.field.IsZero() {
			continue
		}
		if _, err := s.parse(formatted(s.field)); err != nil {
			failures = append(failures, fmt.Errorf("%s %w", s.Name, err))
		}
	}
	return errors.Join(append(failures, r.complete())...)
}

func (r *Reader) complete() error {
	var failures []error
	for _, each := range r.into {
		if completer, ok := each.(Completer); ok {
			failures = append(failures, completer.Complete())
		}
	}
	return errors.Join(failures...)
}

func (r *Reader) find(name string, sources []Source) (value, source string) {
	if value := r.flags[name]; value != "" {
		return value, SourceFlag
	}
	for _, source := range sources {
		if value := source.values[name]; value != "" {
			return value, source.name
		}
	}
	return "", ""
}

// label is the setting's name as the person who set it knows it.
func (s *Setting) label() string {
	if s.source == SourceFlag {
		return "--" + s.Flag
	}
	return s.Name
}
