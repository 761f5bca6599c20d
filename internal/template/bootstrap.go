package template

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
)

// guestPackages are in every sandbox: those of E2B's base template, and those that a
// Debian machine usually has.
var guestPackages = []string{
	"bind9-dnsutils", "busybox-static", "ca-certificates", "curl", "file", "fuse3", "g++", "gcc", "git", "gnupg",
	"iproute2", "iptables", "iputils-ping", "jq", "kmod", "less", "libc6-dev", "libnss-myhostname", "make", "nano",
	"nodejs", "npm", "openssh-client", "procps", "python3", "python3-pip", "python3-venv", "rsync", "socat", "sudo",
	"systemd-standalone-tmpfiles", "tzdata", "unzip", "wget", "xz-utils", "zip",
}

// excludedPaths are never unpacked, also when a package is installed later: a third of the
// files, which no program reads.
var excludedPaths = []string{
	"/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/lintian/*",
}

// archivesVariable is the environment variable with the directory of kept packages.
const archivesVariable = "WRENN_ARCHIVES"

// Hooks of mmdebstrap, run by sh with the root's path as $1. Packages that were downloaded
// before are copied to apt's cache, which uses those that are still current; afterwards
// the packages that were used replace them.
const (
	bringArchives = `mkdir -p "$1/var/cache/apt/archives" && find "$` + archivesVariable + `" -name '*.deb' -exec cp -t "$1/var/cache/apt/archives" {} +`
	keepArchives  = `chroot "$1" apt-get -qq autoclean && rm -f "$` + archivesVariable + `"/*.deb && find "$1/var/cache/apt/archives" -maxdepth 1 -name '*.deb' -exec cp -t "$` + archivesVariable + `" {} +`
	addUser       = `chroot "$1" useradd --uid 1000 --create-home --shell /bin/bash --groups sudo user`
)

// bootstrap installs the guest's packages into an empty directory. It downloads only what
// is not in archives.
func bootstrap(ctx context.Context, release release, root, archives string, progress func(string)) error {
	if err := os.MkdirAll(archives, 0o755); err != nil {
		return err
	}
	arguments := []string{
		"--variant=minbase", "--mode=root", "--format=directory", "--skip=essential/unlink",
		"--include=" + strings.Join(guestPackages, ","),
		// Without fsync: an interrupted build is removed, and a sandbox's disk is not durable
		// between pauses.
		"--dpkgopt=force-unsafe-io",
	}
	for _, excluded := range excludedPaths {
		arguments = append(arguments, "--dpkgopt=path-exclude="+excluded)
	}
	arguments = append(arguments,
		"--dpkgopt=path-include=/usr/share/doc/*/copyright",
		"--setup-hook="+bringArchives, "--customize-hook="+keepArchives, "--customize-hook="+addUser,
		release.codename, root)
	if release.id == "ubuntu" {
		arguments = append([]string{"--components=main,universe"}, arguments...)
	}
	command := newCommand(ctx, "/", "mmdebstrap", arguments...)
	command.Env = append(command.Env, archivesVariable+"="+archives)
	output, err := command.StderrPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return fmt.Errorf("mmdebstrap: %w", err)
	}
	messages := relay(output, progress)
	if err := command.Wait(); err != nil {
		return commandFailure(ctx, "mmdebstrap", err, messages)
	}
	return nil
}

// relay reports mmdebstrap's steps as progress and returns its output.
func relay(output io.Reader, progress func(string)) string {
	var messages strings.Builder
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		messages.WriteString(lines.Text() + "\n")
		if step, found := strings.CutPrefix(lines.Text(), "I: "); found {
			progress("  " + step)
		}
	}
	return messages.String()
}
