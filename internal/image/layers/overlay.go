package layers

import (
	"archive/tar"
	"io"
)

// opaqueXattr marks a directory that hides what lower layers have in it.
// Source: "Overlay Filesystem" in the kernel's documentation, and pkg/abi/linux/xattr.go in
// gVisor.
const opaqueXattr = "trusted.overlay.opaque"

// addOverlay is add for an entry of an overlay's upper directory. A device with the numbers
// 0 and 0 removes what has its name below; a name that means that in an image's layer is a
// file's.
func (r *Reader) addOverlay(header *tar.Header, content io.Reader) error {
	if header.Typeflag == tar.TypeChar && header.Devmajor == 0 && header.Devminor == 0 {
		return r.tree.Remove(header.Name)
	}
	if header.Typeflag == tar.TypeDir && header.PAXRecords[paxXattr+opaqueXattr] == "y" {
		if err := r.tree.Clear(header.Name); err != nil {
			return err
		}
	}
	return r.addFile(header, content)
}
