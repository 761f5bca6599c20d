package buildstep

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Profile has login shells begin with a PATH of the template's: /etc/profile sets it to
// another, whatever the environment says. What users add in files of their own is kept.
type Profile struct {
	// Path is empty for what the image says.
	Path string `json:"path"`
}

// Files of login shells. The directory's are read in the order of their names: others add
// to PATH after this one. Tests have others.
var (
	profileFile = "/etc/profile"
	pathFile    = "/etc/profile.d/00-wrenn-path.sh"
)

func (p Profile) do() (Result, error) {
	if p.Path == "" {
		err := os.Remove(pathFile)
		if errors.Is(err, fs.ErrNotExist) {
			return Result{}, nil
		}
		return Result{Changed: true}, err
	}
	if _, err := os.Stat(profileFile); err != nil {
		return Result{}, nil //nolint:nilerr // login shells leave PATH as it is
	}
	line := fmt.Sprintf("export PATH='%s'\n", strings.ReplaceAll(p.Path, "'", `'\''`))
	if content, err := os.ReadFile(pathFile); err == nil && string(content) == line {
		return Result{}, nil
	}
	if err := os.MkdirAll(filepath.Dir(pathFile), 0o755); err != nil {
		return Result{}, describe(err)
	}
	return Result{Changed: true}, replaceFile(pathFile, []byte(line), 0o644)
}
