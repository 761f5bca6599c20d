package doctor

import (
	_ "embed"
	"os"
	"path/filepath"
	"strings"
)

// packageList is the one place that names the Debian packages; `make deps`
// reads it too.
//
//go:embed packages.txt
var packageList string

// missingPackages names the packages needed to run Wrenn of which the program
// or file is not there.
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

// programDirectories are searched whatever PATH says: a plain user's, and
// cron's, leave the sbin ones out.
var programDirectories = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}

// present looks for a program by name or a file by a pattern.
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
