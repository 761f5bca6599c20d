package template

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"git.omukk.dev/wrenn/sandbox/internal/network"
)

// addition is a file, or a symbolic link, that Wrenn puts into the root file system of the
// base template, which no installer has set up. It replaces what has its path.
type addition struct {
	path    string
	mode    os.FileMode
	content []byte
	link    string // the target of a link; empty for a file
}

// systemFiles are the files of /etc that an installer would have written.
func systemFiles() []addition {
	text := func(path, content string) addition {
		return addition{path: path, mode: 0o644, content: []byte(content)}
	}
	return []addition{
		text("/etc/hostname", "sandbox\n"),
		text("/etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"),
		// nss-myhostname resolves the machine's own name, which differs in each sandbox.
		text("/etc/nsswitch.conf", nameServices),
		text("/etc/resolv.conf", "nameserver "+network.GatewayIP+"\n"),
		text("/etc/default/locale", "LANG=C.UTF-8\n"),
		text("/etc/timezone", "Etc/UTC\n"),
		// A sandbox has one user: pip may install into the system's directories.
		text("/etc/pip.conf", "[global]\nbreak-system-packages = true\n"),
		{path: "/usr/bin/python", link: "python3"},
		{path: "/etc/localtime", link: "/usr/share/zoneinfo/Etc/UTC"},
		{path: "/etc/mtab", link: "../proc/self/mounts"},
		// Empty: the guest agent mounts another one over it in each life.
		{path: "/etc/machine-id", mode: 0o444},
		{path: "/etc/sudoers.d/user", mode: 0o440, content: []byte("user ALL=(ALL:ALL) NOPASSWD: ALL\n")},
	}
}

const nameServices = `passwd:         files
group:          files
shadow:         files
gshadow:        files

hosts:          files myhostname dns
networks:       files

protocols:      db files
services:       db files
ethers:         db files
rpc:            db files

netgroup:       nis
`

// additionsList is the file that describes the additions in a directory.
const additionsList = "additions.json"

// storedAddition is an addition in a directory.
type storedAddition struct {
	Path string      `json:"path"`
	Mode os.FileMode `json:"mode,omitempty"`
	Link string      `json:"link,omitempty"`
	File string      `json:"file,omitempty"` // its content, in the directory; empty for a link
	Size int         `json:"size"`
}

// writeAdditions writes additions to a directory, for installAdditions.
func writeAdditions(directory string, additions []addition) error {
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return err
	}
	var list []storedAddition
	for number, a := range additions {
		one := storedAddition{Path: a.path, Mode: a.mode, Link: a.link, Size: len(a.content) + len(a.link)}
		if a.link == "" {
			one.File = fmt.Sprint(number)
			if err := os.WriteFile(filepath.Join(directory, one.File), a.content, 0o600); err != nil {
				return err
			}
		}
		list = append(list, one)
	}
	content, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(directory, additionsList), content, 0o600)
}

// readAdditions reads the list of the additions in a directory.
func readAdditions(directory string) ([]storedAddition, error) {
	content, err := os.ReadFile(filepath.Join(directory, additionsList))
	if err != nil {
		return nil, err
	}
	var list []storedAddition
	err = json.Unmarshal(content, &list)
	return list, err
}

// installAdditions writes the additions in a directory into an ext4 image without mounting
// it.
func installAdditions(ctx context.Context, rootfs, directory string) (err error) {
	list, err := readAdditions(directory)
	if err != nil {
		return err
	}
	script, err := os.CreateTemp("", "wrenn-debugfs-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(script.Name())) }()
	_, err = script.WriteString(debugfsScript(list))
	if err := errors.Join(err, script.Close()); err != nil {
		return err
	}
	var output, complaints bytes.Buffer
	command := newCommand(ctx, directory, "debugfs", "-w", "-f", script.Name(), rootfs)
	command.Stdout, command.Stderr = &output, &complaints
	if err := command.Run(); err != nil {
		return commandFailure(ctx, "debugfs", err, complaints.String())
	}
	return requireInstalled(output.String(), complaints.String(), list)
}

// debugfsScript makes missing directories, replaces files and prints the result. Source:
// debugfs(8).
func debugfsScript(list []storedAddition) string {
	const regularFile = 0o100000 // S_IFREG of inode(7)
	var script strings.Builder
	for _, a := range list {
		for _, parent := range parents(a.Path) {
			fmt.Fprintf(&script, "mkdir %s\n", parent) // fails for an existing one
		}
		fmt.Fprintf(&script, "rm %s\n", a.Path)
		if a.Link != "" {
			fmt.Fprintf(&script, "symlink %s %s\n", a.Path, a.Link)
			continue
		}
		fmt.Fprintf(&script, "write %s %s\nset_inode_field %s mode 0%o\n", a.File, a.Path, a.Path, regularFile|a.Mode)
		fmt.Fprintf(&script, "set_inode_field %s uid 0\nset_inode_field %s gid 0\n", a.Path, a.Path)
	}
	for _, a := range list {
		fmt.Fprintf(&script, "stat %s\n", a.Path)
	}
	return script.String()
}

// parents are the directories above a path, the topmost first.
func parents(of string) []string {
	var all []string
	for directory := path.Dir(of); directory != "/"; directory = path.Dir(directory) {
		all = append(all, directory)
	}
	slices.Reverse(all)
	return all
}

// requireInstalled checks what debugfs printed, whose exit status is 0 also when its
// commands fail. Errors of mkdir and rm are expected: the directory exists, or no file was
// there.
func requireInstalled(output, complaints string, list []storedAddition) error {
	for line := range strings.Lines(complaints) {
		if strings.HasPrefix(line, "write: ") {
			return fmt.Errorf("files could not be written into the image: %s", strings.TrimSpace(line))
		}
	}
	const command = "debugfs: stat "
	shown := make(map[string]string)
	for section := range strings.SplitSeq(output, command) {
		name, state, _ := strings.Cut(section, "\n")
		shown[name] = state
	}
	for _, a := range list {
		want := []string{"Type: symlink"}
		if a.Link == "" {
			want = []string{"Type: regular", fmt.Sprintf("Mode:  0%03o", a.Mode)}
		}
		for _, sign := range append(want, fmt.Sprintf("Size: %d\n", a.Size)) {
			if !strings.Contains(shown[a.Path], sign) {
				return fmt.Errorf("%s could not be written into the image: there is %q", a.Path, shown[a.Path])
			}
		}
	}
	return nil
}
