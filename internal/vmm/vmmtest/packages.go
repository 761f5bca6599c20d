package vmmtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"git.omukk.dev/wrenn/sandbox/internal/template"
	"git.omukk.dev/wrenn/sandbox/internal/testhost"
)

// PackagesVariable names the archive that Packages wrote.
const PackagesVariable = "WRENN_TEST_PACKAGES"

// Packages fetches Debian packages with the dependencies that the guest image lacks, as
// one archive to be unpacked at a guest's root: guests in tests reach no mirror.
func Packages(names ...string) testhost.Step {
	return func(string) ([]string, error) {
		agent, err := findAgent()
		if err != nil || os.Getenv(ImageVariable) != "" {
			return nil, nil //nolint:nilerr // each test that needs the agent says so
		}
		image, err := template.BuildImage(context.Background(), ImageOptions(agent,
			func(line string) { fmt.Fprintln(os.Stderr, line) }, slog.New(slog.NewTextHandler(os.Stderr, nil))))
		if err != nil {
			return nil, err
		}
		archive, err := packagesFor(image, names)
		if err != nil {
			return nil, fmt.Errorf("fetch packages for guests: %w", err)
		}
		return []string{PackagesVariable + "=" + archive}, nil
	}
}

func packagesFor(image template.Image, names []string) (archive string, err error) {
	status, err := output("debugfs", "-R", "cat /var/lib/dpkg/status", image.RootfsPath)
	if err != nil {
		return "", err
	}
	archives := filepath.Join(CacheDir, "packages", "tests")
	if err := os.MkdirAll(filepath.Join(archives, "partial"), 0o755); err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(strings.Join(append(names, status), "\n")))
	archive = filepath.Join(archives, hex.EncodeToString(sum[:8])+".tar")
	if _, err := os.Stat(archive); err == nil {
		return archive, nil
	}
	work, err := os.MkdirTemp(archives, "work-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	statusFile, root := filepath.Join(work, "status"), filepath.Join(work, "root")
	if err := os.WriteFile(statusFile, []byte(status), 0o600); err != nil {
		return "", err
	}
	files, err := download(statusFile, archives, names)
	if err != nil {
		return "", err
	}
	for _, file := range files {
		if _, err := output("dpkg-deb", "-x", file, root); err != nil {
			return "", err
		}
	}
	packed := filepath.Join(work, "packed.tar")
	if _, err := output("tar", "-C", root, "--exclude=./usr/share", "--exclude=./usr/lib/cni", "-cf", packed, "."); err != nil {
		return "", err
	}
	return archive, os.Rename(packed, archive)
}

// plannedInstall is what apt would do: Inst name [old version] (version origin [architecture]).
var plannedInstall = regexp.MustCompile(`(?m)^Inst (\S+) (?:\[\S+\] )?\((\S+) .*\[(\S+)\]`)

// download returns the paths of all packages that would have to be installed.
func download(statusFile, archives string, names []string) ([]string, error) {
	arguments := append([]string{
		"-o", "Dir::State::status=" + statusFile, "-o", "Dir::Cache::archives=" + archives, "-o", "APT::Sandbox::User=root",
		"--no-install-recommends", "-y", "install",
	}, names...)
	if _, err := output("apt-get", append([]string{"--download-only"}, arguments...)...); err != nil {
		return nil, err
	}
	plan, err := output("apt-get", append([]string{"--simulate"}, arguments...)...)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, match := range plannedInstall.FindAllStringSubmatch(plan, -1) {
		name := match[1] + "_" + strings.ReplaceAll(match[2], ":", "%3a") + "_" + match[3] + ".deb"
		files = append(files, filepath.Join(archives, name))
	}
	return files, nil
}

func output(name string, arguments ...string) (string, error) {
	var said, complaints bytes.Buffer
	command := exec.Command(name, arguments...)
	command.Stdout, command.Stderr = &said, &complaints
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(complaints.String()))
	}
	return said.String(), nil
}
