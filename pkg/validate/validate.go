// Package validate checks values from clients. Each function returns a fault that names
// the field.
package validate

import (
	"strings"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// Lifetime checks for how many seconds a sandbox is to run that starts: at least one.
func Lifetime(field string, seconds int32, most time.Duration) (time.Duration, error) {
	if seconds == 0 {
		return 0, fault.New(fault.Invalid, "%s must be at least 1 second", field)
	}
	return Timeout(field, seconds, most)
}

// Timeout checks after how many seconds a running sandbox is to end; 0 is at once.
func Timeout(field string, seconds int32, most time.Duration) (time.Duration, error) {
	if seconds < 0 {
		return 0, fault.New(fault.Invalid, "%s must not be negative", field)
	}
	timeout := time.Duration(seconds) * time.Second
	if timeout > most {
		return 0, fault.New(fault.Invalid, "%s must be at most %d seconds", field, int(most.Seconds()))
	}
	return timeout, nil
}

// MaxMetadataBytes bounds a sandbox's metadata, keys and values together.
const MaxMetadataBytes = 8 << 10

// Metadata checks the pairs that a client attaches to a sandbox.
func Metadata(metadata map[string]string) error {
	size := 0
	for key, value := range metadata {
		size += len(key) + len(value)
		if key == "" {
			return fault.New(fault.Invalid, "metadata has an empty key")
		}
		// PostgreSQL's text cannot hold it.
		if strings.ContainsRune(key, 0) || strings.ContainsRune(value, 0) {
			return fault.New(fault.Invalid, "metadata must not contain a zero byte")
		}
	}
	if size > MaxMetadataBytes {
		return fault.New(fault.Invalid, "metadata has %d bytes; at most %d are possible, keys and values together", size, MaxMetadataBytes)
	}
	return nil
}

// Environment checks environment variables.
func Environment(variables map[string]string) error {
	for name, value := range variables {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			return fault.New(fault.Invalid, "envVars has the invalid name %q", name)
		}
		if strings.ContainsRune(value, 0) {
			return fault.New(fault.Invalid, "envVars: the value of %q contains a zero byte", name)
		}
	}
	return nil
}
