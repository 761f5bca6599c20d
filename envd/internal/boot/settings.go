package boot

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Settings are kept on the root disk, below Wrenn's directory, which covers them.
type Settings struct {
	// Init is what the first program becomes: empty for Wrenn's own supervisor, or
	// "systemd".
	Init string `json:"init,omitempty"`
}

// InitSystemd is the value of Settings.Init for the image's systemd.
const InitSystemd = "systemd"

// initOwn is Wrenn's supervisor, for a boot that is not to go by what an image brings.
const initOwn = "wrenn"

// initWord is the word of the kernel's command line that takes precedence over
// Settings.Init, with the same values and initOwn. With an absolute path the program of that path is started at once, and
// nothing of Wrenn's: that is for test hosts.
const initWord = "wrenn.init"

// SettingsFile is the file in Wrenn's directory on the disk.
const SettingsFile = "settings.json"

// maxSettingsBytes bounds the file, which the image's owner may have written.
const maxSettingsBytes = 64 << 10

// ReadSettings reads the settings in a directory. There are none in an image that was
// never prepared.
func ReadSettings(directory string) (Settings, error) {
	file, err := os.OpenFile(filepath.Join(directory, SettingsFile), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) {
		return Settings{}, nil
	}
	if err != nil {
		return Settings{}, fmt.Errorf("read Wrenn's settings: %w", err)
	}
	defer file.Close()
	var settings Settings
	if err := json.NewDecoder(io.LimitReader(file, maxSettingsBytes)).Decode(&settings); err != nil {
		return Settings{}, fmt.Errorf("read Wrenn's settings: %w", err)
	}
	return settings, nil
}
