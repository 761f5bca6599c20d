package boot

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Wrenn's own settings take part in the order of the others by this name, so that a file
// of the user's of this or a later name wins.
const (
	ownSysctl     = Directory + "/sysctl.conf"
	ownSysctlName = "50-wrenn.conf"
)

// sysctlDirectories, the first of which wins where several have a file of the same name.
// Wrenn's own file is between the first three and the rest. Source: sysctl.d(5).
var sysctlDirectories = []string{"/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "", "/usr/lib/sysctl.d", "/lib/sysctl.d"}

// lastSysctl is read after all others.
const lastSysctl = "/etc/sysctl.conf"

// maxSysctlBytes bounds one file, which the image brings.
const maxSysctlBytes = 1 << 20

// applySysctls applies the settings of the kernel in Wrenn's file and in the image's,
// below root, to the directory of settings.
func applySysctls(root, settings string) error {
	var failures []error
	var all []sysctl
	for _, path := range sysctlFiles(root) {
		content, err := readBounded(path, maxSysctlBytes)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			failures = append(failures, err)
			continue
		}
		all = append(all, parseSysctls(string(content))...)
	}
	for _, s := range all {
		failures = append(failures, s.apply(settings))
	}
	return errors.Join(failures...)
}

// sysctlFiles returns the files in the order of reading.
func sysctlFiles(root string) []string {
	byName := make(map[string]string)
	for _, directory := range sysctlDirectories {
		if directory == "" {
			byName[ownSysctlName] = cmp.Or(byName[ownSysctlName], filepath.Join(root, ownSysctl))
			continue
		}
		found, _ := filepath.Glob(filepath.Join(root, directory, "*.conf")) // the pattern is well-formed
		for _, path := range found {
			name := filepath.Base(path)
			byName[name] = cmp.Or(byName[name], path)
		}
	}
	names := make([]string, 0, len(byName))
	for name := range byName {
		names = append(names, name)
	}
	slices.Sort(names)
	files := make([]string, 0, len(names)+1)
	for _, name := range names {
		files = append(files, byName[name])
	}
	return append(files, filepath.Join(root, lastSysctl))
}

// sysctl is one setting. Its path may be a pattern.
type sysctl struct {
	path, value string
	mayFail     bool
}

func parseSysctls(text string) []sysctl {
	var all []sysctl
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		name, value, found := strings.Cut(line, "=")
		name, mayFail := strings.CutPrefix(strings.TrimSpace(name), "-")
		if found && name != "" {
			all = append(all, sysctl{path: sysctlPath(strings.TrimSpace(name)), value: strings.TrimSpace(value), mayFail: mayFail})
		}
	}
	return all
}

// sysctlPath turns a name into a path: where the first separator is a dot, dots and
// slashes change places.
func sysctlPath(name string) string {
	first := strings.IndexAny(name, "./")
	if first < 0 || name[first] == '/' {
		return name
	}
	return strings.Map(func(r rune) rune {
		switch r {
		case '.':
			return '/'
		case '/':
			return '.'
		default:
			return r
		}
	}, name)
}

// apply writes the setting, or all that its pattern matches.
func (s sysctl) apply(settings string) error {
	if strings.Contains("/"+s.path+"/", "/../") {
		return fmt.Errorf("set %s: the name leaves the kernel's settings", s.path)
	}
	paths := []string{filepath.Join(settings, s.path)}
	if strings.ContainsAny(s.path, "*?[") {
		matched, err := filepath.Glob(paths[0])
		if err != nil {
			return fmt.Errorf("set %s: %w", s.path, err)
		}
		paths = matched
	}
	var failures []error
	for _, path := range paths {
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
		if err == nil {
			_, err = file.WriteString(s.value + "\n")
			err = errors.Join(err, file.Close())
		}
		if err != nil && !s.mayFail {
			failures = append(failures, fmt.Errorf("set %s: %w", s.path, err))
		}
	}
	return errors.Join(failures...)
}

// readBounded reads a regular file. One that is longer than the bound is an error.
func readBounded(path string, most int64) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	content, err := io.ReadAll(io.LimitReader(file, most+1))
	if err == nil && int64(len(content)) > most {
		return nil, fmt.Errorf("%s is longer than %d bytes", path, most)
	}
	return content, err
}
