package buildcontext

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
)

// Files are files of a directory that one step of a build copies.
type Files struct {
	// Hash has 64 hex digits. It depends on the files' paths, kinds, permissions and
	// contents, not on their times or owners.
	Hash string
	// Count is the number of files, without directories; Bytes the sum of their sizes.
	Count int
	Bytes int64

	directory *Directory
	entries   []entry
}

// Files finds the files that sources name and reads them for their hash.
func (d *Directory) Files(sources, excludes []string) (*Files, error) {
	entries, err := d.find(sources, excludes)
	if err != nil {
		return nil, err
	}
	files := &Files{directory: d, entries: entries}
	sum := sha256.New()
	for _, one := range entries {
		target, err := one.target(d)
		if err != nil {
			return nil, err
		}
		size := int64(0)
		if one.info.Mode().IsRegular() {
			size = one.info.Size()
			files.Count++
			files.Bytes += size
		}
		fmt.Fprintf(sum, "%d:%s %o %d:%s %d\n", len(one.path), one.path, one.info.Mode(), len(target), target, size)
		if err := one.copyTo(sum, d); err != nil {
			return nil, err
		}
	}
	files.Hash = hex.EncodeToString(sum.Sum(nil))
	return files, nil
}

// WriteTar writes the files as a gzipped tar archive, with paths relative to the
// directory. A file that has changed its size since Files is an error.
func (f *Files) WriteTar(to io.Writer) error {
	compressed := gzip.NewWriter(to)
	archive := tar.NewWriter(compressed)
	for _, one := range f.entries {
		target, err := one.target(f.directory)
		if err != nil {
			return err
		}
		header, err := tar.FileInfoHeader(one.info, target)
		if err != nil {
			return fmt.Errorf("pack %s: %w", one.path, err)
		}
		header.Name, header.Format = one.path, tar.FormatPAX
		if one.info.IsDir() {
			header.Name += "/"
		}
		header.Uid, header.Gid, header.Uname, header.Gname = 0, 0, "", ""
		if err := archive.WriteHeader(header); err != nil {
			return fmt.Errorf("pack %s: %w", one.path, err)
		}
		if err := one.copyTo(archive, f.directory); err != nil {
			return err
		}
	}
	return errors.Join(archive.Close(), compressed.Close())
}

// target is what a link points to; empty for a file or a directory.
func (e entry) target(in *Directory) (string, error) {
	if e.info.Mode().Type() != fs.ModeSymlink {
		return "", nil
	}
	target, err := in.root.Readlink(filepath.FromSlash(e.path))
	if err != nil {
		return "", fmt.Errorf("read link %s: %w", e.path, err)
	}
	return target, nil
}

// copyTo writes a file's content; nothing for a directory or a link.
func (e entry) copyTo(to io.Writer, in *Directory) (err error) {
	if !e.info.Mode().IsRegular() {
		return nil
	}
	file, err := in.root.Open(filepath.FromSlash(e.path))
	if err != nil {
		return fmt.Errorf("read %s: %w", e.path, err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	copied, err := io.Copy(to, io.LimitReader(file, e.info.Size()))
	if err != nil {
		return fmt.Errorf("read %s: %w", e.path, err)
	}
	if more, _ := file.Read(make([]byte, 1)); copied != e.info.Size() || more > 0 {
		return fmt.Errorf("%s changed while it was read; build again", e.path)
	}
	return nil
}
