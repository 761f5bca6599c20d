package template

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// PrepareProgram is the program in every guest that makes an image ready for sandboxes:
// run it as root, once for an image, with PrepareInit and the name of an init to choose
// one. It prints a Preparation.
const PrepareProgram = "/.wrenn/prepare"

// PrepareInit is the option before InitWrenn or InitSystemd, which takes effect at the
// next boot.
const PrepareInit = "-init"

// The programs that can be PID 1.
const (
	InitWrenn   = "wrenn"
	InitSystemd = "systemd"
)

// Preparation is what the prepare program found in an image and did.
type Preparation struct {
	User struct {
		Name string `json:"name"`
		UID  uint32 `json:"uid"`
		GID  uint32 `json:"gid"`
		Home string `json:"home"`
		Made bool   `json:"made"` // the image did not have the user
	} `json:"user"`
	Shell struct {
		Bash    string `json:"bash"`    // the path of the image's; empty if it has none
		StandIn bool   `json:"standIn"` // /bin/bash runs sh
	} `json:"shell"`
	// Sudo: the image has sudo, and the user needs no password.
	Sudo bool `json:"sudo"`
	// Systemd: the image has systemd.
	Systemd bool `json:"systemd"`
	// Init is what the next boot starts: InitWrenn or InitSystemd.
	Init string `json:"init"`
	// Notes are lines for the log of a build: what the image lacks, and what it has
	// instead. There are at most 32, of at most 512 characters that can be printed.
	Notes []string `json:"notes"`
	// Failure is why the image is not ready; empty if it is.
	Failure string `json:"error"`
}

// Bounds of what a guest may say.
const (
	maxPreparationBytes = 64 << 10
	maxNotes            = 32
	maxNoteCharacters   = 512
)

// ErrBadPreparation is returned for what is not a report of the prepare program.
var ErrBadPreparation = errors.New("the guest did not report how its image was prepared")

// ParsePreparation reads what the prepare program has printed in a guest, whose root may
// have written it.
func ParsePreparation(printed []byte) (Preparation, error) {
	if len(printed) > maxPreparationBytes {
		return Preparation{}, fmt.Errorf("%w: %d bytes are too many", ErrBadPreparation, len(printed))
	}
	var p Preparation
	if err := json.Unmarshal(printed, &p); err != nil {
		return Preparation{}, fmt.Errorf("%w: %w", ErrBadPreparation, err)
	}
	p.Notes = p.Notes[:min(len(p.Notes), maxNotes)]
	for i := range p.Notes {
		p.Notes[i] = printable(p.Notes[i])
	}
	for _, text := range []*string{&p.User.Name, &p.User.Home, &p.Shell.Bash, &p.Init, &p.Failure} {
		*text = printable(*text)
	}
	return p, nil
}

// printable makes one line of a bounded length.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
	if utf8.RuneCountInString(text) > maxNoteCharacters {
		text = string([]rune(text)[:maxNoteCharacters])
	}
	return text
}
