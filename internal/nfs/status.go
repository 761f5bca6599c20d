package nfs

import (
	"errors"

	"golang.org/x/sys/unix"
)

// status is how a call ended (RFC 1813, nfsstat3).
type status uint32

const (
	statusOK             status = 0
	statusPermission     status = 1
	statusNotFound       status = 2
	statusIO             status = 5
	statusAccess         status = 13
	statusExists         status = 17
	statusOtherDevice    status = 18
	statusNotDirectory   status = 20
	statusIsDirectory    status = 21
	statusInvalid        status = 22
	statusTooLarge       status = 27
	statusNoSpace        status = 28
	statusReadOnly       status = 30
	statusTooManyLinks   status = 31
	statusNameTooLong    status = 63
	statusNotEmpty       status = 66
	statusQuota          status = 69
	statusStale          status = 70
	statusBadHandle      status = 10001
	statusNotSynchronous status = 10002
	statusNotSupported   status = 10004
	statusTooSmall       status = 10005
)

func (s status) Error() string { return "NFS status " + unix.ErrnoName(unix.Errno(s)) }

// statuses are the errors of the kernel that a client is told as they are.
var statuses = map[unix.Errno]status{
	unix.EPERM: statusPermission, unix.ENOENT: statusNotFound, unix.EACCES: statusAccess, unix.EEXIST: statusExists,
	unix.EXDEV: statusOtherDevice, unix.ENOTDIR: statusNotDirectory, unix.EISDIR: statusIsDirectory,
	unix.EINVAL: statusInvalid, unix.EFBIG: statusTooLarge, unix.ENOSPC: statusNoSpace, unix.EROFS: statusReadOnly,
	unix.EMLINK: statusTooManyLinks, unix.ENAMETOOLONG: statusNameTooLong, unix.ENOTEMPTY: statusNotEmpty,
	unix.EDQUOT: statusQuota, unix.ESTALE: statusStale, unix.EOPNOTSUPP: statusNotSupported,
}

func statusOf(err error) status {
	if err == nil {
		return statusOK
	}
	var own status
	if errors.As(err, &own) {
		return own
	}
	var errno unix.Errno
	if errors.As(err, &errno) {
		if known, ok := statuses[errno]; ok {
			return known
		}
	}
	return statusIO
}
