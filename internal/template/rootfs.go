package template

import (
	"context"
	"fmt"
)

// Constants that make the same inputs give the same disk, byte for byte.
const (
	sourceDateEpoch = "1735689600" // 2025-01-01
	rootfsUUID      = "7b1f6a1e-9b44-4f65-9c2e-0d8b8ad3f3a5"
	rootfsHashSeed  = "3d5ba2ec-6f2c-4c0c-a1d8-8e0bbba4d13b"
)

// formatRootfs makes a sparse ext4 image of a directory. What ext4 would initialise at the
// first mount is initialised here, once for all sandboxes.
func formatRootfs(ctx context.Context, root, target string, sizeMiB int) error {
	_, err := run(ctx, "/", "mkfs.ext4", "-q", "-F", "-d", root, "-m", "0", "-L", "wrenn",
		"-E", "lazy_itable_init=0,lazy_journal_init=0,hash_seed="+rootfsHashSeed,
		"-U", rootfsUUID, target, fmt.Sprintf("%dM", sizeMiB))
	return err
}
