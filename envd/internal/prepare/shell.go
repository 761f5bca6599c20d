package prepare

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// Paths of the shells, and of what stands in for them. The stand-in for sh is called by
// that name, which busybox goes by.
const (
	bashPath    = "/bin/bash"
	shPath      = "/bin/sh"
	bashStandIn = "/.wrenn/bin/bash"
	shStandIn   = "/.wrenn/bin/busybox"
)

// programDirectories are searched in this order.
var programDirectories = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}

// provideShell makes /bin/bash and /bin/sh start a shell: the image's own, wherever it is,
// or Wrenn's.
func (i image) provideShell() error {
	bash := i.findProgram("bash")
	i.report.Shell = Shell{Bash: bash, StandIn: bash == ""}
	target := bash
	if bash == "" {
		target = bashStandIn
		i.note("the image has no bash: %s is a stand-in that runs the commands with sh", bashPath)
	}
	if err := i.linkProgram(bashPath, target); err != nil {
		return err
	}
	if i.isProgram(shPath) && !i.leadsToOwn(shPath) {
		return nil
	}
	target = bash
	if bash == "" {
		target = shStandIn
		i.note("the image has no shell: %s is busybox, with the usual programs built in", shPath)
	}
	return i.linkProgram(shPath, target)
}

// findProgram returns the path of a program of the image's; empty if it has none.
func (i image) findProgram(name string) string {
	for _, directory := range programDirectories {
		path := filepath.Join(directory, name)
		if i.isProgram(path) && !i.leadsToOwn(path) {
			return path
		}
	}
	return ""
}

func (i image) isProgram(path string) bool {
	const executable = 0o111
	info, err := os.Stat(i.path(path))
	return err == nil && info.Mode().IsRegular() && info.Mode()&executable != 0
}

// leadsToOwn reports whether a path is a link into Wrenn's directory, which an earlier run
// has made.
func (i image) leadsToOwn(path string) bool {
	target, err := os.Readlink(i.path(path))
	return err == nil && strings.HasPrefix(target, "/.wrenn/")
}

// linkProgram makes a link to a program, unless the path is one already or leads there.
func (i image) linkProgram(path, target string) error {
	const directoryMode = 0o755
	if path == target {
		return nil
	}
	current, err := os.Readlink(i.path(path))
	if err == nil && current == target || i.isProgram(path) && !i.leadsToOwn(path) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(i.path(path)), directoryMode); err != nil {
		return err
	}
	if err := os.Remove(i.path(path)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.Symlink(target, i.path(path))
}
