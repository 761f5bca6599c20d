package buildstep

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/filesystem"
)

// Pack writes files of the root file system to standard output, as an archive for Copy.
type Pack struct {
	Sources []string `json:"sources"`
	// DigestOnly writes nothing.
	DigestOnly bool `json:"digestOnly,omitempty"`
}

// packer writes an archive, and hashes what of it matters: names, modes, links and
// contents, but neither times nor owners.
type packer struct {
	archive *tar.Writer
	sum     hash.Hash
	// mounted are the places where other file systems are. Devices do not tell: those of
	// files in an overlay differ from that of its directories.
	mounted map[string]bool
}

func (p Pack) do(ctx context.Context, stdout io.Writer) (Result, error) {
	if p.DigestOnly {
		stdout = io.Discard
	}
	mounts, err := filesystem.ReadMounts(filesystem.MountTable)
	if err != nil {
		return Result{}, err
	}
	packing := packer{archive: tar.NewWriter(stdout), sum: sha256.New(), mounted: make(map[string]bool)}
	for _, mount := range mounts {
		packing.mounted[mount.Path] = mount.Path != "/"
	}
	for _, text := range p.Sources {
		if err := packing.addSource(ctx, text); err != nil {
			return Result{}, err
		}
	}
	if err := packing.archive.Close(); err != nil {
		return Result{}, err
	}
	return Result{Digest: hex.EncodeToString(packing.sum.Sum(nil))}, nil
}

func (p *packer) addSource(ctx context.Context, text string) error {
	matches, err := filepath.Glob("/" + strings.TrimPrefix(path.Clean("/"+text), "/"))
	if err != nil {
		return fmt.Errorf("source %q is not a pattern", text)
	}
	if len(matches) == 0 {
		return fmt.Errorf("%q was %w in the stage", text, errMissing)
	}
	for _, match := range matches {
		// A link that is named itself is followed, those below it are not.
		target, err := filepath.EvalSymlinks(match)
		if err != nil {
			return describe(err)
		}
		if err := p.addTree(ctx, target, strings.TrimPrefix(match, "/")); err != nil {
			return err
		}
	}
	return nil
}

// addTree adds what is at a path, under a name. Other file systems are left out.
func (p *packer) addTree(ctx context.Context, root, name string) error {
	return filepath.WalkDir(root, func(at string, entry fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return describe(err)
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return describe(err)
		}
		if p.mounted[at] {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		below, err := filepath.Rel(root, at)
		if err != nil {
			return err
		}
		return p.add(at, path.Join(name, below), info)
	})
}

func (p *packer) add(at, name string, info fs.FileInfo) error {
	if info.Mode()&fs.ModeSocket != 0 {
		return nil
	}
	link := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		var err error
		if link, err = os.Readlink(at); err != nil {
			return describe(err)
		}
	}
	header, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	header.Name, header.Uname, header.Gname, header.Format = name, "", "", tar.FormatPAX
	if name == "" {
		header.Name = "."
	}
	addAttributes(at, header)
	fmt.Fprintf(p.sum, "%q %o %c %d %q %q\n", header.Name, header.Mode, header.Typeflag, header.Size, header.Linkname, header.PAXRecords)
	if err := p.archive.WriteHeader(header); err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	if !info.Mode().IsRegular() {
		return nil
	}
	file, err := os.Open(at)
	if err != nil {
		return describe(err)
	}
	defer file.Close()
	if _, err := io.Copy(io.MultiWriter(p.archive, p.sum), io.LimitReader(file, header.Size)); err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	return nil
}

// addAttributes adds capabilities.
func addAttributes(at string, header *tar.Header) {
	const capability = "security.capability"
	value := make([]byte, 64)
	n, err := unix.Lgetxattr(at, capability, value)
	if err == nil && n > 0 {
		header.PAXRecords = map[string]string{attributePrefix + capability: string(value[:n])}
	}
}
