package cli

import (
	"os"
	"slices"

	"github.com/spf13/pflag"

	"git.omukk.dev/wrenn/sandbox/pkg/settings"
)

// AddFlags adds the flags of settings to a command's: those that are named, or all.
func AddFlags(flags *pflag.FlagSet, reader *settings.Reader, names ...string) {
	for _, flag := range reader.Flags() {
		name := flag.Setting.Flag
		if len(names) > 0 && !slices.Contains(names, name) {
			continue
		}
		added := flags.VarPF(flag, name, "", flag.Usage())
		if flag.Type() == "bool" {
			added.NoOptDefVal = "true"
		}
	}
}

// ReadSettings fills a command's settings from its flags, and from the environment
// where no flag was given.
func ReadSettings(reader *settings.Reader) error {
	return reader.Read(settings.Environment(os.Environ()))
}
