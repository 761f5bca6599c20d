// Package id checks the identifiers of sandboxes, templates and processes.
package id

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
)

// ErrMalformed is returned for a text that is no identifier of its kind.
var ErrMalformed = errors.New("malformed identifier")

// Sandbox is the ID of a sandbox. It is a DNS label, so a machine can have it as its
// name.
type Sandbox string

// Template is the ID of a template or of one of its builds.
type Template string

// Process is the number of a process, above 0.
type Process int

var (
	sandboxPattern  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	templatePattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}$`)
)

// ParseSandbox checks the ID of a sandbox.
func ParseSandbox(text string) (Sandbox, error) {
	if !sandboxPattern.MatchString(text) {
		return "", fmt.Errorf("%w: sandbox %q", ErrMalformed, text)
	}
	return Sandbox(text), nil
}

// ParseTemplate checks the ID of a template.
func ParseTemplate(text string) (Template, error) {
	if !templatePattern.MatchString(text) {
		return "", fmt.Errorf("%w: template %q", ErrMalformed, text)
	}
	return Template(text), nil
}

// ParseProcess reads the number of a process. The kernel writes 0 for a process that
// this PID namespace does not show.
func ParseProcess(text string) (Process, error) {
	number, err := strconv.ParseInt(text, 10, 32)
	if err != nil || number <= 0 {
		return 0, fmt.Errorf("%w: process %q", ErrMalformed, text)
	}
	return Process(number), nil
}
