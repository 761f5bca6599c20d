package module

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// Modprobe is the program that the kernel starts to load a module: "modprobe -q -- NAME".
// It returns the exit status. Options are ignored, except that -q says nothing of a module
// that does not exist.
func Modprobe(bundle string, arguments []string, complaints io.Writer) int {
	quiet, onlyNames := false, false
	var names []string
	for _, argument := range arguments {
		switch {
		case !onlyNames && argument == "--":
			onlyNames = true
		case !onlyNames && strings.HasPrefix(argument, "-"):
			quiet = quiet || argument == "-q" || argument == "--quiet"
		default:
			names = append(names, argument)
		}
	}
	if err := loadAll(bundle, names); err != nil {
		if !quiet || !errors.Is(err, ErrUnknown) {
			fmt.Fprintln(complaints, "modprobe:", err)
		}
		return 1
	}
	return 0
}

func loadAll(bundle string, names []string) error {
	if len(names) == 0 {
		return errors.New("no module is named")
	}
	modules, err := Open(bundle)
	if err != nil {
		return err
	}
	var failures []error
	for _, name := range names {
		failures = append(failures, modules.Load(name))
	}
	return errors.Join(append(failures, modules.Close())...)
}
