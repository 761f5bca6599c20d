package filesystem

import (
	"golang.org/x/sys/unix"
)

// onNetwork tells file systems which others change, too: other machines, or a
// program that answers for them. inotify does not see what they do.
func onNetwork(path string) (bool, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(path, &stat); err != nil {
		return false, err
	}
	return isNetworkType(uint32(stat.Type)), nil
}

// isNetworkType knows the numbers of statfs(2) and linux/magic.h. That of FUSE
// covers virtiofs, and most others that are not listed.
func isNetworkType(kind uint32) bool {
	const (
		nfs    = 0x6969
		smb    = 0x517B
		smb2   = 0xFE534D42
		cifs   = 0xFF534D42
		fuse   = 0x65735546
		ninep  = 0x01021997
		ceph   = 0x00C36400
		afs    = 0x5346414F
		afsOld = 0x6B414653
		coda   = 0x73757245
		ncp    = 0x564C
		ocfs2  = 0x7461636F
		gfs2   = 0x01161970
		lustre = 0x0BD00BD0
		orange = 0x20030528
	)
	switch kind {
	case nfs, smb, smb2, cifs, fuse, ninep, ceph, afs, afsOld, coda, ncp, ocfs2, gfs2, lustre, orange:
		return true
	default:
		return false
	}
}
