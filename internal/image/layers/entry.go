package layers

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/image/filetree"
)

// Bounds of what ext4 can hold.
const (
	maxTarget = 4095
	maxMajor  = 1<<12 - 1
	maxMinor  = 1<<20 - 1
	maxID     = 1<<32 - 2 // 2^32-1 is no user
	// minSeconds and maxSeconds are the times of ext4's inodes: from 1901 to 2446.
	minSeconds = -1 << 31
	maxSeconds = 1<<34 - 1<<31 - 1
	// maxXattrs is for names and values of one file, so that they fit into one block.
	maxXattrs = 3500
)

// paxXattr begins the records of extended attributes.
const paxXattr = "SCHILY.xattr."

// add adds one entry to the tree. The content is read only for a regular file.
func (r *Reader) add(header *tar.Header, content io.Reader) error {
	if header.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	if filetree.IsWhiteout(header.Name) {
		return r.tree.Whiteout(header.Name)
	}
	return r.addFile(header, content)
}

func (r *Reader) addFile(header *tar.Header, content io.Reader) error {
	if header.Typeflag == tar.TypeLink {
		return r.tree.Link(header.Name, header.Linkname)
	}
	node, err := r.describe(header)
	if err != nil {
		return err
	}
	if !node.IsRegular() {
		return r.tree.Put(header.Name, node)
	}
	if header.Size > r.limits.FileBytes {
		return refuse("the file %s is larger than %s, which is the limit", shown(header.Name), Bytes(r.limits.FileBytes))
	}
	// Holes of sparse files are not in the archive, and count all the same: each byte costs
	// time.
	if r.content += header.Size; r.content > r.limits.StreamBytes {
		return refuse("the image's files are larger than %s, which is the limit", Bytes(r.limits.StreamBytes))
	}
	node.Size = header.Size
	if node.Extents, err = r.disk.Write(content, header.Size); err != nil {
		return err
	}
	if err := r.tree.Put(header.Name, node); err != nil {
		r.disk.Free(node.Extents)
		return err
	}
	return nil
}

// describe makes a node of an entry's header, without its content.
func (r *Reader) describe(header *tar.Header) (*filetree.Node, error) {
	kind, err := kindOf(header)
	if err != nil {
		return nil, err
	}
	if header.Uid < 0 || header.Uid > maxID || header.Gid < 0 || header.Gid > maxID {
		return nil, refuse("the file %s belongs to user %d and group %d, which no system has", shown(header.Name), header.Uid, header.Gid)
	}
	node := &filetree.Node{
		Mode: kind | uint32(header.Mode&0o7777), UID: uint32(header.Uid), GID: uint32(header.Gid),
		Seconds: min(max(header.ModTime.Unix(), minSeconds), maxSeconds), Nanoseconds: uint32(header.ModTime.Nanosecond()),
	}
	switch kind {
	case unix.S_IFLNK:
		if header.Linkname == "" || len(header.Linkname) > maxTarget || strings.ContainsRune(header.Linkname, 0) {
			return nil, refuse("the symbolic link %s has an empty target or one of more than %d bytes", shown(header.Name), maxTarget)
		}
		node.Target = header.Linkname
	case unix.S_IFCHR, unix.S_IFBLK:
		if header.Devmajor < 0 || header.Devmajor > maxMajor || header.Devminor < 0 || header.Devminor > maxMinor {
			return nil, refuse("the device %s has numbers that Linux does not have", shown(header.Name))
		}
		node.Major, node.Minor = uint32(header.Devmajor), uint32(header.Devminor)
	}
	node.Xattrs, err = xattrs(header)
	return node, err
}

func kindOf(header *tar.Header) (uint32, error) {
	switch header.Typeflag {
	case tar.TypeReg, '\x00', tar.TypeCont, tar.TypeGNUSparse:
		return unix.S_IFREG, nil
	case tar.TypeDir:
		return unix.S_IFDIR, nil
	case tar.TypeSymlink:
		return unix.S_IFLNK, nil
	case tar.TypeChar:
		return unix.S_IFCHR, nil
	case tar.TypeBlock:
		return unix.S_IFBLK, nil
	case tar.TypeFifo:
		return unix.S_IFIFO, nil
	default:
		return 0, refuse("%s is an entry of the type %q, which is not known", shown(header.Name), header.Typeflag)
	}
}

// xattrs returns the extended attributes that an image may bring: users' own, and
// capabilities. Others mean something only to the system that the image was made on.
func xattrs(header *tar.Header) (map[string]string, error) {
	var found map[string]string
	total := 0
	for record, value := range header.PAXRecords {
		name, isXattr := strings.CutPrefix(record, paxXattr)
		if !isXattr || name != "security.capability" && (!strings.HasPrefix(name, "user.") || name == "user.") {
			continue
		}
		const longestName = 255
		if total += len(name) + len(value); total > maxXattrs || len(name) > longestName {
			return nil, refuse("the extended attributes of %s are larger than %d bytes, which is the limit", shown(header.Name), maxXattrs)
		}
		if found == nil {
			found = make(map[string]string)
		}
		found[name] = value
	}
	return found, nil
}

// shown makes a hostile name fit for a message.
func shown(name string) string {
	const longest = 100
	if len(name) > longest {
		name = strings.ToValidUTF8(name[:longest], "") + "…"
	}
	return fmt.Sprintf("%q", name)
}

// IsRefusal says whether an error is a rule that an image breaks, whose text is for the
// image's owner.
func IsRefusal(err error) bool {
	var ofLayer *Error
	var ofTree *filetree.Error
	return errors.As(err, &ofLayer) || errors.As(err, &ofTree)
}
