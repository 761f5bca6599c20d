// Command wrenn-host-agent runs one machine's sandboxes for a control plane.
package main

import (
	"os"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
)

func main() { os.Exit(cli.HostAgentMain(os.Args[1:])) }
