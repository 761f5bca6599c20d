package layers

import (
	"archive/tar"
	"io"
	"path"
)

// opaqueXattr marks a directory that hides what lower layers have in it.
// Source: "Overlay Filesystem" in the kernel's documentation, and pkg/abi/linux/xattr.go in
// gVisor.
const opaqueXattr = "trusted.overlay.opaque"

// overlay reads the archive of an overlay's upper directory.
type overlay struct {
	*Reader
	// whiteouts are names that remove what has them below: gVisor's overlay has one inode
	// for several, so that all but the first are hard links.
	whiteouts map[string]bool
}

// add is Reader.add for an upper directory. A device with the numbers 0 and 0 removes what
// has its name below; a name that means that in an image's layer is a file's.
func (r overlay) add(header *tar.Header, content io.Reader) error {
	device := header.Typeflag == tar.TypeChar && header.Devmajor == 0 && header.Devminor == 0
	if device || header.Typeflag == tar.TypeLink && r.whiteouts[path.Clean(header.Linkname)] {
		r.whiteouts[path.Clean(header.Name)] = true
		return r.tree.Remove(header.Name)
	}
	if header.Typeflag == tar.TypeDir && header.PAXRecords[paxXattr+opaqueXattr] == "y" {
		if err := r.tree.Clear(header.Name); err != nil {
			return err
		}
	}
	return r.addFile(header, content)
}
