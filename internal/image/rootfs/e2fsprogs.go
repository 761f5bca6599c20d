package rootfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/image/ext4"
)

// diskPath is by which a child opens the disk's file, its descriptor 3.
const diskPath = "/proc/self/fd/3"

// epoch is the time that is in every file system: 2025-01-01. With it and a UUID the same
// inputs give the same disk.
const epoch = "1735689600"

// format makes an empty file system with a journal and room to grow while it is mounted
// (resize_inode). The kernel would initialise inode tables and journal at the first mount,
// in each clone again; here they are holes, which are zeros, and are marked as initialised.
func (w *writer) format(ctx context.Context) error {
	return w.tool(ctx, 0, "mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-i", "16384", "-m", "0",
		"-O", ext4.Features, "-L", "wrenn", "-U", w.options.UUID,
		"-E", "lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0,hash_seed="+w.options.UUID, diskPath)
}

// index makes indexes of large directories, without which the kernel reads all entries to
// find one. e2fsck returns 1 when it has changed something.
func (w *writer) index(ctx context.Context) error {
	return w.tool(ctx, 1, "e2fsck", "-f", "-y", "-D", diskPath)
}

func (w *writer) check(ctx context.Context) error {
	return w.tool(ctx, 0, "e2fsck", "-f", "-n", diskPath)
}

// tool runs a program of e2fsprogs on the disk, confined. mostStatus is the highest exit
// status that is a success.
func (w *writer) tool(ctx context.Context, mostStatus int, name string, arguments ...string) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	path, err := findTool(name)
	if err != nil {
		return err
	}
	command := w.confined(ctx, path, arguments...)
	command.ExtraFiles = []*os.File{w.file}
	command.Env = append(command.Env, "E2FSPROGS_FAKE_TIME="+epoch, "SOURCE_DATE_EPOCH="+epoch)
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	err = command.Run()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var exited *exec.ExitError
	if errors.As(err, &exited) && exited.Exited() && exited.ExitCode() <= mostStatus {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, w.hostFullNow(err), tail(output.String()))
	}
	return nil
}

// findTool finds programs also where PATH has no sbin.
func findTool(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, directory := range []string{"/usr/sbin/", "/sbin/"} {
		if path, err := exec.LookPath(directory + name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is missing; run: apt-get install e2fsprogs", name)
}

// tail is the last lines of what a program said.
func tail(said string) string {
	const longest = 1000
	said = strings.TrimSpace(said)
	return strconv.QuoteToASCII(said[max(0, len(said)-longest):])
}

// head is the first of what a Go program said when it ended: the reason is before the
// stacks.
func head(said string) string {
	const longest = 300
	return strconv.QuoteToASCII(said[:min(len(said), longest)])
}

// hostFull marks errors of a full file system.
func hostFull(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return errors.Join(ErrHostFull, err)
	}
	return err
}

// hostFullNow marks an error of a program, which tells no reason, when nothing can be
// written.
func (w *writer) hostFullNow(err error) error {
	var stat unix.Statfs_t
	const least = 1 << 20
	if unix.Fstatfs(int(w.file.Fd()), &stat) == nil && stat.Bavail*uint64(stat.Bsize) < least {
		return errors.Join(ErrHostFull, err)
	}
	return err
}
