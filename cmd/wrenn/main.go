// Command wrenn runs Wrenn on one machine and talks to its API.
package main

import (
	"os"

	"git.omukk.dev/wrenn/sandbox/internal/cli/wrenn"
)

func main() { os.Exit(wrenn.Main(os.Args[1:])) }
