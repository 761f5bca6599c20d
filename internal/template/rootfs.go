package template

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Constants that make the same inputs give the same disk, byte for byte.
const (
	sourceDateEpoch = "1735689600" // 2025-01-01
	rootfsUUID      = "7b1f6a1e-9b44-4f65-9c2e-0d8b8ad3f3a5"
	rootfsHashSeed  = "3d5ba2ec-6f2c-4c0c-a1d8-8e0bbba4d13b"
)

// formatRootfs makes a sparse ext4 image of a directory. Everything that ext4
// would put off to the first mount is done here, once for all sandboxes.
func formatRootfs(ctx context.Context, root, target string, sizeMiB int) error {
	_, err := run(ctx, "/", "mkfs.ext4", "-q", "-F", "-d", root, "-m", "0", "-L", "wrenn",
		"-E", "lazy_itable_init=0,lazy_journal_init=0,hash_seed="+rootfsHashSeed,
		"-U", rootfsUUID, target, fmt.Sprintf("%dM", sizeMiB))
	return err
}

// installAgent writes the guest agent into an ext4 image without mounting it.
func installAgent(ctx context.Context, rootfs, agent string) (err error) {
	const target = "/usr/local/bin/envd"
	script := filepath.Join(filepath.Dir(rootfs), "debugfs.script")
	commands := strings.Join([]string{
		fmt.Sprintf("write %q %s", agent, target),
		"set_inode_field " + target + " mode 0100755",
		"set_inode_field " + target + " uid 0",
		"set_inode_field " + target + " gid 0",
	}, "\n")
	if err := os.WriteFile(script, []byte(commands+"\n"), 0o600); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(script)) }()
	if _, err := run(ctx, "/", "debugfs", "-w", "-f", script, rootfs); err != nil {
		return err
	}
	// debugfs succeeds whatever its commands did: look at what is there.
	found, err := run(ctx, "/", "debugfs", "-R", "stat "+target, rootfs)
	if err != nil {
		return err
	}
	if !strings.Contains(found, "Mode:  0755") {
		return fmt.Errorf("the guest agent could not be written into the image: %s", strings.TrimSpace(found))
	}
	return nil
}
