// Package dockerfile reads Dockerfiles into the stages and steps of a template's build.
//
// It runs nothing and reads no other file. What a template cannot have, such as RUN
// with a device, is an error that names the line.
package dockerfile

import (
	"errors"
	"fmt"
	"strings"
)

// Limits of a Dockerfile.
const (
	MaxBytes = 1 << 20
	MaxSteps = 1000
)

// Options choose what of a Dockerfile is built.
type Options struct {
	// Target is the name or number of the stage that becomes the template; empty for the
	// last one.
	Target string
	// Arguments are the values of build arguments, by name.
	Arguments map[string]string
}

// Plan is what is to be built.
type Plan struct {
	// Stages are those that the last one needs, in order. The last one becomes the
	// template.
	Stages []Stage
	// ReadyCommand is the HEALTHCHECK of the last stage as a line for a shell; empty for
	// none.
	ReadyCommand string
	// Warnings name instructions that have no effect.
	Warnings []Warning
}

// Warning is about one line.
type Warning struct {
	Line int
	Text string
}

// Stage is a file system that steps make out of a base.
type Stage struct {
	// Name is empty for a stage without one.
	Name  string
	Line  int
	Base  Base
	Steps []Step
}

// Base is what a stage begins as: exactly one of an image, an earlier stage and an
// empty file system.
type Base struct {
	// Image is a reference, such as "debian:12".
	Image string
	// Stage is the index in Plan.Stages; nil for none.
	Stage   *int
	Scratch bool
}

// Step is one instruction.
type Step struct {
	// Number counts the steps of all stages, from 1 on.
	Number int
	// Line is where it begins, from 1 on.
	Line int
	// Text is the instruction as it was written, its lines joined.
	Text   string
	Action Action
}

// Action is what a step does: Run, Copy, AddURL, Env, Workdir, User, Shell or Command.
//
// In its texts ${NAME} stands for a variable that only the base image can have set, and
// \$ for a dollar sign. Commands of Run are not such texts: their shell expands them.
type Action interface{ action() }

// Run runs a command.
type Run struct {
	// Command is a line for the shell, or a script of several.
	Command string
	// Exec is the command without a shell; then Command is empty.
	Exec    []string
	Secrets []Secret
}

// Secret is a secret that one Run may read.
type Secret struct {
	ID string
	// Path is the secret's file; empty for /run/secrets/ID.
	Path string
	// Variable, if set, has the value in place of a file.
	Variable string
	Required bool
}

// Copy copies files.
type Copy struct {
	// Sources are paths of the build's directory, of FromStage or of FromImage, relative
	// to its root. They may be patterns.
	Sources []string
	// Excludes are patterns of files of the build's directory that are left out.
	Excludes []string
	// FromStage is an index in Plan.Stages; nil for none.
	FromStage *int
	// FromImage is an image's reference; empty for none.
	FromImage   string
	Destination string
	// Owner is "user", "user:group" or numbers; empty for the current user.
	Owner string
	// Mode is octal; empty for the files' own.
	Mode string
	// Extract unpacks archives among the sources.
	Extract bool
	// Content is a file's content in place of sources; nil for none.
	Content *string
}

// OfDirectory reports whether the files come from the build's directory: its caller has
// to upload them.
func (c Copy) OfDirectory() bool {
	return c.FromStage == nil && c.FromImage == "" && c.Content == nil
}

// AddURL downloads a file.
type AddURL struct {
	URL, Destination, Owner, Mode string
	// Checksum is "sha256:" and 64 hex digits; empty for none.
	Checksum string
}

// Env sets variables, in order.
type Env struct {
	Variables []Variable
	// Argument: they are set during later steps of the stage only, and do not replace a
	// variable of Env or of the base.
	Argument bool
}

// Variable is a name and its value.
type Variable struct{ Name, Value string }

// Workdir makes a directory and goes there.
type Workdir struct{ Path string }

// User changes the user; Name may be "user:group" or numbers.
type User struct{ Name string }

// Shell replaces the shell of later Runs.
type Shell struct{ Shell []string }

// Command sets the image's entrypoint, or its command where that is nil.
type Command struct{ Entrypoint, Command []string }

func (Run) action()     {}
func (Copy) action()    {}
func (AddURL) action()  {}
func (Env) action()     {}
func (Workdir) action() {}
func (User) action()    {}
func (Shell) action()   {}
func (Command) action() {}

// LineError is a fault of one line.
type LineError struct {
	// Line is from 1 on; 0 for a fault of the whole.
	Line    int
	Message string
}

// Error returns the line and the message.
func (e *LineError) Error() string {
	if e.Line == 0 {
		return e.Message
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Message)
}

func at(line int, format string, arguments ...any) *LineError {
	return &LineError{Line: line, Message: fmt.Sprintf(format, arguments...)}
}

// maxFaults is how many faults one error names.
const maxFaults = 10

// join makes one error of the faults, which is nil for none.
func join(faults []error) error {
	if len(faults) > maxFaults {
		faults = append(faults[:maxFaults:maxFaults], fmt.Errorf("and %d more", len(faults)-maxFaults))
	}
	return errors.Join(faults...)
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
