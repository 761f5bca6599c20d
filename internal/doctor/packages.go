package doctor

import (
	_ "embed"
	"os"
	"path/filepath"
	"strings"
)

// packageList names the Debian packages that Wrenn needs. "make deps" reads it too.
//
//go:embed packages.txt
var packageList string

// missingPackages returns the packages needed to run Wrenn whose program or file is
// missing.
func missingPackages(skip string) []string {
	var missing []string
	for line := range strings.Lines(packageList) {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[0] != "run" || fields[1] == skip {
			continue
		}
		if !present(fields[2]) {
			missing = append(missing, fields[1])
		}
	}
	return missing
}

// programDirectories are searched in addition to PATH, which has no sbin directories for
// plain users and in cron.
var programDirectories = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}

// present reports whether a program of a name, or a file of a pattern, exists.
func present(shownBy string) bool {
	if strings.HasPrefix(shownBy, "/") {
		found, err := filepath.Glob(shownBy)
		return err == nil && len(found) > 0
	}
	for _, directory := range append(filepath.SplitList(os.Getenv("PATH")), programDirectories...) {
		info, err := os.Stat(filepath.Join(directory, shownBy))
		if err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return true
		}
	}
	return false
}
