// Package wrenn is the program wrenn: Wrenn on one machine and a client of its API.
package wrenn

import (
	"os"

	"git.omukk.dev/wrenn/sandbox/internal/cli/wrenn"
	"git.omukk.dev/wrenn/sandbox/pkg/cpserver"
)

// Main runs the program with the arguments of the process, and ends the process with
// its exit code. The options are for the control plane that "wrenn up" starts, so that
// the whole main.go of an edition is
//
//	func main() { wrenn.Main(cpserver.WithExtensions(billing.New())) }
//
// "wrenn up" starts the same binary again for each of its parts.
func Main(options ...cpserver.Option) { os.Exit(wrenn.Main(os.Args[1:], options...)) }
