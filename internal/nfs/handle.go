package nfs

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/volume/quota"
)

// A handle names a file for a client as long as the file exists, through renames, pauses
// and restarts of this process. It is the kernel's handle, which could open any file of
// the disk, with a digest by the export's key: so a client can only use handles that it
// was given, and reaches nothing outside the volume.
const (
	maxHandle     = 64 // NFS3_FHSIZE
	handleVersion = 1
	exportSize    = 8
	digestSize    = 16
	handleHeader  = 1 + exportSize + digestSize + 4
)

// Export is a directory that is served as a file system.
type Export struct {
	// Name is what a client mounts, without the slash in front.
	Name string
	// Directory holds its files. Nothing else is mounted below it.
	Directory string
	// Key is the secret of its handles' digests.
	Key []byte
	// Room returns ENOSPC where there is no room for so many bytes more; nil allows all.
	Room func(bytes int64) error
	// Quota limits its size; nil does not.
	Quota *quota.Quota

	root   *os.File
	number [exportSize]byte
}

func (e *Export) open() (err error) {
	if e.root, err = os.OpenFile(e.Directory, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0); err != nil {
		return fmt.Errorf("open %s to serve it: %w", e.Directory, err)
	}
	digest := sha256.Sum256([]byte(e.Name))
	copy(e.number[:], digest[:])
	return nil
}

func (e *Export) digest(kind int32, handle []byte) []byte {
	mac := hmac.New(sha256.New, e.Key)
	mac.Write([]byte{handleVersion})
	mac.Write(e.number[:])
	mac.Write(binary.BigEndian.AppendUint32(nil, uint32(kind)))
	mac.Write(handle)
	return mac.Sum(nil)[:digestSize]
}

// handleOf makes the handle of an open file.
func (e *Export) handleOf(file int) ([]byte, error) {
	handle, _, err := unix.NameToHandleAt(file, "", unix.AT_EMPTY_PATH)
	if err != nil {
		return nil, fmt.Errorf("name a file: %w", err)
	}
	made := append(make([]byte, 0, maxHandle), handleVersion)
	made = append(made, e.number[:]...)
	made = append(made, e.digest(handle.Type(), handle.Bytes())...)
	made = binary.BigEndian.AppendUint32(made, uint32(handle.Type()))
	made = append(made, handle.Bytes()...)
	if len(made) > maxHandle {
		return nil, fmt.Errorf("name a file: the kernel's handle has %d bytes", len(handle.Bytes()))
	}
	return made, nil
}

// find opens the node that a handle names.
func (s *Server) find(handle []byte) (*node, error) {
	if len(handle) < handleHeader || handle[0] != handleVersion {
		return nil, errBadHandle
	}
	export, known := s.byNumber[[exportSize]byte(handle[1:])]
	if !known {
		return nil, errStale
	}
	kind := int32(binary.BigEndian.Uint32(handle[handleHeader-4:]))
	if !hmac.Equal(handle[1+exportSize:handleHeader-4], export.digest(kind, handle[handleHeader:])) {
		return nil, errBadHandle
	}
	n := &node{export: export, handle: unix.NewFileHandle(kind, handle[handleHeader:])}
	var err error
	if n.path, err = n.reopen(unix.O_PATH | unix.O_NOFOLLOW); err != nil {
		return nil, err
	}
	if err := n.look(); err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}
