package utils

import (
	"fmt"
	"strings"
)

// CheckVariable tells whether a process can have an environment variable.
func CheckVariable(name, value string) error {
	if name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(value, 0) {
		return fmt.Errorf("variable %q is malformed", name)
	}
	return nil
}
