// Package prepare makes the root file system of any Linux image ready for sandboxes, once,
// in a guest: a user, a shell, names and the files that each program expects. It relies on
// no program of the image, keeps what the image has, and changes nothing the second time.
package prepare

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
)

// Report is what was found and done. It is printed as one line of JSON.
type Report struct {
	User  User  `json:"user"`
	Shell Shell `json:"shell"`
	// Sudo: the image has sudo, and the user needs no password for it.
	Sudo bool `json:"sudo"`
	// Systemd: the image has systemd.
	Systemd bool `json:"systemd"`
	// Init is what the next boot starts: "wrenn" or "systemd".
	Init string `json:"init"`
	// Notes are for people: what the image lacks, and what it has instead.
	Notes []string `json:"notes"`
	// Error is why the image is not ready; empty if it is.
	Error string `json:"error,omitempty"`
}

// User is the user that commands run as.
type User struct {
	Name string `json:"name"`
	UID  uint32 `json:"uid"`
	GID  uint32 `json:"gid"`
	Home string `json:"home"`
	// Made: the image did not have the user.
	Made bool `json:"made"`
}

// Shell is what /bin/bash is.
type Shell struct {
	// Bash is the path of the image's bash; empty if it has none.
	Bash string `json:"bash"`
	// StandIn: /bin/bash is Wrenn's, which is no bash.
	StandIn bool `json:"standIn"`
}

// image is a root file system.
type image struct {
	root    string // a path without a slash at its end; empty for /
	gateway netip.Addr
	report  *Report
}

func (i image) path(name string) string { return i.root + name }

func (i image) note(format string, arguments ...any) {
	i.report.Notes = append(i.report.Notes, fmt.Sprintf(format, arguments...))
}

// Run is the program: it prints the report, and returns the exit status. Usage:
// prepare [-init wrenn|systemd].
func Run(arguments []string, output io.Writer) int {
	report := Report{Notes: []string{}}
	flags := flag.NewFlagSet("prepare", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	initName := flags.String("init", "", "what the next boot starts: wrenn or systemd; empty changes nothing")
	err := flags.Parse(arguments)
	if err == nil {
		err = Image(&report, *initName)
	}
	if err != nil {
		report.Error = err.Error()
	}
	if printErr := json.NewEncoder(output).Encode(report); printErr != nil || err != nil {
		return 1
	}
	return 0
}

// Image prepares the guest that it runs in.
func Image(report *Report, initName string) error {
	if os.Geteuid() != 0 {
		return errors.New("preparing an image needs root")
	}
	gateway, err := readGateway()
	if err != nil {
		return err
	}
	i := image{gateway: gateway, report: report}
	if err := i.prepare(); err != nil {
		return err
	}
	return i.chooseInit(initName)
}

// prepare does all but the choice of the init.
func (i image) prepare() error {
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"directories", i.makeDirectories},
		{"shell", i.provideShell},
		{"user", i.provideUser},
		{"sudo", i.allowSudo},
		{"names", i.provideNames},
		{"identity", i.forgetIdentity},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}
