// Command init is the first process of a guest that tries out its disk: it loads the
// drivers, mounts /dev/vda, writes, grows the file system, writes more, and turns the
// guest off. Each line that it prints is a fact for the test.
package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// Source: linux/fs.h and fs/ext4/ext4.h of the kernel.
const extResizeFS = 0x40086610 // EXT4_IOC_RESIZE_FS

func main() {
	if err := try(); err != nil {
		fmt.Println("fact: failed:", err)
	}
	syscall.Sync()
	_ = syscall.Reboot(syscall.LINUX_REBOOT_CMD_RESTART)
}

func try() error {
	if err := loadModules(); err != nil {
		return err
	}
	if err := syscall.Mount("dev", "/dev", "devtmpfs", 0, ""); err != nil && err != syscall.EBUSY {
		return fmt.Errorf("mount devtmpfs: %w", err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat("/dev/vda"); err == nil {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("there is no disk")
		}
	}
	if err := syscall.Mount("/dev/vda", "/root", "ext4", syscall.MS_NOATIME, "noinit_itable"); err != nil {
		return fmt.Errorf("mount the disk: %w", err)
	}
	content, err := os.ReadFile("/root/etc/name")
	if err != nil {
		return err
	}
	fmt.Printf("fact: read %s\n", content)
	if err := os.WriteFile("/root/written", make([]byte, 1<<20), 0o600); err != nil {
		return err
	}
	if err := grow(); err != nil {
		return err
	}
	// More than the disk had before.
	large, err := os.Create("/root/large")
	if err != nil {
		return err
	}
	for range 600 {
		if _, err := large.Write(make([]byte, 1<<20)); err != nil {
			return err
		}
	}
	if err := large.Close(); err != nil {
		return err
	}
	if err := syscall.Unmount("/root", 0); err != nil {
		return fmt.Errorf("unmount the disk: %w", err)
	}
	fmt.Println("fact: done")
	return nil
}

func loadModules() error {
	order, err := os.ReadFile("/modules/order")
	if err != nil {
		return err
	}
	for name := range strings.FieldsSeq(string(order)) {
		module, err := os.ReadFile("/modules/" + name)
		if err != nil {
			return err
		}
		none := []byte{0}
		_, _, errno := syscall.Syscall(syscall.SYS_INIT_MODULE, uintptr(unsafe.Pointer(&module[0])), uintptr(len(module)), uintptr(unsafe.Pointer(&none[0])))
		if errno != 0 && errno != syscall.EEXIST {
			return fmt.Errorf("load %s: %w", name, errno)
		}
	}
	return nil
}

// grow makes the file system as large as the disk.
func grow() error {
	var before, after syscall.Statfs_t
	if err := syscall.Statfs("/root", &before); err != nil {
		return err
	}
	disk, err := os.Open("/dev/vda")
	if err != nil {
		return err
	}
	size, err := disk.Seek(0, 2)
	if err != nil {
		return err
	}
	_ = disk.Close()
	root, err := os.Open("/root")
	if err != nil {
		return err
	}
	defer root.Close()
	blocks := uint64(size / 4096)
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, root.Fd(), extResizeFS, uintptr(unsafe.Pointer(&blocks))); errno != 0 {
		return fmt.Errorf("resize to %d blocks: %w", blocks, errno)
	}
	if err := syscall.Statfs("/root", &after); err != nil {
		return err
	}
	fmt.Printf("fact: grown from %d to %d MiB, from %d to %d inodes\n", before.Blocks>>8, after.Blocks>>8, before.Files, after.Files)
	return nil
}
