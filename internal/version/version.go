// Package version says which build of Wrenn a program is.
package version

// version is set by the linker; see the Makefile.
var version = "dev"

// String is the version of the running program, such as "v0.1.0" or
// "v0.1.0-3-g5decaaa"; "dev" for a build that was not made by make.
func String() string { return version }
