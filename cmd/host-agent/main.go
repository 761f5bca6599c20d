// Command wrenn-host-agent runs one machine's sandboxes for a control plane.
package main

import (
	"os"

	"git.omukk.dev/wrenn/sandbox/internal/cli/hostagent"
)

func main() { os.Exit(hostagent.Main(os.Args[1:])) }
