package prepare

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/filesystem"
)

// maxFileBytes bounds files of /etc that are changed.
const maxFileBytes = 1 << 20

const sticky = os.ModeSticky | 0o777

// directories that programs expect. Those that exist keep their mode, but for the ones in
// which everybody may write.
var directories = []struct {
	path string
	mode os.FileMode
}{
	{"/etc", 0o755},
	{"/home", 0o755},
	{"/root", 0o700},
	{"/usr/local/bin", 0o755},
	{"/var/lib", 0o755},
	{"/var/log", 0o755},
	{"/tmp", sticky},
	{"/var/tmp", sticky},
}

func (i image) makeDirectories() error {
	for _, d := range directories {
		path := i.path(d.path)
		info, err := os.Stat(path)
		if errors.Is(err, os.ErrNotExist) {
			if err = removeDangling(path); err == nil {
				err = os.MkdirAll(path, d.mode)
			}
			if err == nil {
				err = os.Chmod(path, d.mode) // whatever the umask
			}
		} else if err == nil && !info.IsDir() {
			err = fmt.Errorf("%s is not a directory", d.path)
		} else if err == nil && d.mode == sticky && info.Mode()&(os.ModeSticky|os.ModePerm) != sticky {
			err = os.Chmod(path, d.mode)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// removeDangling removes a link that leads nowhere.
func removeDangling(path string) error {
	if _, err := os.Readlink(path); err != nil {
		return nil //nolint:nilerr // there is no link
	}
	return os.Remove(path)
}

// sudoRule also lets sudo run without a terminal, which some distributions forbid.
const sudoRule = "Defaults:" + userName + " !requiretty\n" + userName + " ALL=(ALL:ALL) NOPASSWD: ALL\n"

// allowSudo lets the user run everything as root, without a password, if the image has
// sudo.
func (i image) allowSudo() error {
	const directory, ruleMode, directoryMode = "/etc/sudoers.d", 0o440, 0o750
	if i.findProgram("sudo") == "" {
		i.note("the image has no sudo: commands that need root run as the user root")
		return nil
	}
	if err := os.MkdirAll(i.path(directory), directoryMode); err != nil {
		return err
	}
	rule, err := openEdited(i.path(filepath.Join(directory, userName)), ruleMode, maxFileBytes)
	if err != nil {
		return err
	}
	if !strings.Contains(string(rule.content), userName+" ALL=(ALL:ALL) NOPASSWD: ALL\n") {
		if err := rule.replace([]byte(sudoRule)); err != nil {
			return err
		}
	}
	sudoers, err := openEdited(i.path("/etc/sudoers"), ruleMode, maxFileBytes)
	if err != nil {
		return err
	}
	i.report.Sudo = true
	for line := range strings.Lines(string(sudoers.content)) {
		word, at, _ := strings.Cut(strings.TrimSpace(line), " ")
		if (word == "#includedir" || word == "@includedir") && strings.TrimSpace(at) == directory {
			return nil
		}
	}
	content := string(sudoers.content)
	if content == "" {
		content = "root ALL=(ALL:ALL) ALL\n"
	}
	// The form with # is known to all versions of sudo.
	return sudoers.replace([]byte(strings.TrimSuffix(content, "\n") + "\n#includedir " + directory + "\n"))
}

// provideNames makes names resolve: by the host's gateway, and the machine's own.
func (i image) provideNames() error {
	const mode = 0o644
	// A link would lead to the file of a service that does not run.
	resolver := i.path("/etc/resolv.conf")
	wanted := "nameserver " + i.gateway.String() + "\n"
	info, err := os.Lstat(resolver)
	if err == nil && !info.Mode().IsRegular() {
		if err := os.Remove(resolver); err != nil {
			return err
		}
	}
	file, err := openEdited(resolver, mode, maxFileBytes)
	if err != nil {
		return err
	}
	if string(file.content) != wanted {
		if err := file.replace([]byte(wanted)); err != nil {
			return err
		}
	}
	hosts, err := openEdited(i.path("/etc/hosts"), mode, maxFileBytes)
	if err != nil {
		return err
	}
	if !namesLocalhost(string(hosts.content)) {
		const local = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
		if err := hosts.replace([]byte(local + string(hosts.content))); err != nil {
			return err
		}
	}
	services, err := openEdited(i.path("/etc/nsswitch.conf"), mode, maxFileBytes)
	if err != nil || len(services.content) > 0 {
		return err
	}
	// Without it some versions of glibc do not read /etc/hosts.
	return services.replace([]byte("passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"))
}

func namesLocalhost(hosts string) bool {
	for line := range strings.Lines(hosts) {
		text, _, _ := strings.Cut(line, "#")
		fields := strings.Fields(text)
		if len(fields) > 1 && fields[0] == "127.0.0.1" && strings.Contains(" "+strings.Join(fields[1:], " ")+" ", " localhost ") {
			return true
		}
	}
	return false
}

// forgetIdentity makes an empty machine-id, over which each life mounts its own. An
// empty one does not make systemd take the boot for a first one.
func (i image) forgetIdentity() error {
	const mode = 0o444
	path := i.path("/etc/machine-id")
	info, err := os.Lstat(path)
	if err == nil && !info.Mode().IsRegular() {
		return nil
	}
	file, err := openEdited(path, mode, maxFileBytes)
	if err != nil || file.owner != nil && len(file.content) == 0 {
		return err
	}
	return i.withoutCover(path, func() error { return file.replace(nil) })
}

// withoutCover does nothing to a file that is a mount point, as it is in a guest that has
// its identity: what lies below cannot be replaced, and is covered in each life.
func (i image) withoutCover(path string, replace func() error) error {
	mounts, err := filesystem.ReadMounts(filesystem.MountTable)
	if err != nil {
		return err
	}
	for _, mount := range mounts {
		if mount.Path == path {
			return nil
		}
	}
	return replace()
}
