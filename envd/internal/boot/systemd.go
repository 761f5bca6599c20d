package boot

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ErrNoSystemd is returned for an image that is to have systemd as PID 1 and has none.
var ErrNoSystemd = errors.New("the image has no systemd: install it in the image, or choose Wrenn's own init")

// systemdPrograms are where distributions have systemd.
var systemdPrograms = []string{"/usr/lib/systemd/systemd", "/lib/systemd/systemd"}

// FindSystemd returns the path of the image's systemd. The error is ErrNoSystemd.
func FindSystemd() (string, error) {
	for _, path := range systemdPrograms {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", ErrNoSystemd
}

// agentUnit runs the guest agent. Units are below /run: they are gone with the guest, and
// nothing of the image's is changed.
const agentUnit = "wrenn-envd.service"

//go:embed wrenn-envd.service
var agentUnitText string

// maskedUnits would wait for what never comes, or do what the host does.
var maskedUnits = []string{
	"serial-getty@ttyS0.service", "console-getty.service", "getty@tty1.service",
	"systemd-networkd-wait-online.service", "NetworkManager-wait-online.service", "systemd-timesyncd.service",
}

// startSystemd makes this process the image's systemd, which runs the guest agent as a
// unit.
func startSystemd() error {
	program, err := FindSystemd()
	if err != nil {
		return err
	}
	network, err := ReadNetwork()
	if err != nil {
		return err
	}
	if err := writeUnits("/run", network); err != nil {
		return fmt.Errorf("write systemd's units: %w", err)
	}
	return become(program)
}

func writeUnits(run string, network Network) error {
	const directoryMode, fileMode = 0o755, 0o644
	for target, content := range map[string]string{
		"systemd/system/" + agentUnit: agentUnitText,
		// The host's gateway answers names.
		"systemd/resolved.conf.d/wrenn.conf": fmt.Sprintf("[Resolve]\nDNS=%s\nLLMNR=no\nMulticastDNS=no\n", network.Gateway),
	} {
		path := filepath.Join(run, target)
		if err := os.MkdirAll(filepath.Dir(path), directoryMode); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), fileMode); err != nil {
			return err
		}
	}
	units := filepath.Join(run, "systemd/system")
	wants := filepath.Join(units, "sysinit.target.wants")
	if err := os.MkdirAll(wants, directoryMode); err != nil {
		return err
	}
	failures := []error{os.Symlink("../"+agentUnit, filepath.Join(wants, agentUnit))}
	for _, unit := range maskedUnits {
		failures = append(failures, os.Symlink("/dev/null", filepath.Join(units, unit)))
	}
	return errors.Join(failures...)
}
