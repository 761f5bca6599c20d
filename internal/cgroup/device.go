package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// DeviceOf is the number, such as "8:0", of a directory's whole disk: limits cannot be set
// on partitions.
func DeviceOf(directory string) (string, error) {
	var stat unix.Stat_t
	if err := unix.Stat(directory, &stat); err != nil {
		return "", fmt.Errorf("find the device of %s: %w", directory, err)
	}
	number := fmt.Sprintf("%d:%d", unix.Major(stat.Dev), unix.Minor(stat.Dev))
	device, err := filepath.EvalSymlinks(filepath.Join("/sys/dev/block", number))
	if err != nil {
		return "", fmt.Errorf("find the device of %s: it is not on one block device: %w", directory, err)
	}
	if _, err := os.Stat(filepath.Join(device, "partition")); err == nil {
		content, err := os.ReadFile(filepath.Join(filepath.Dir(device), "dev"))
		if err != nil {
			return "", fmt.Errorf("find the disk of %s: %w", directory, err)
		}
		number = strings.TrimSpace(string(content))
	}
	return number, nil
}
