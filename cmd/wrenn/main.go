// Command wrenn runs Wrenn on one machine and talks to its API.
package main

import "git.omukk.dev/wrenn/sandbox/pkg/wrenn"

func main() { wrenn.Main() }
