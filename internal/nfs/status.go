package nfs

import (
	"errors"

	"golang.org/x/sys/unix"
)

// status is the result of a call (RFC 1813, nfsstat3).
type status uint32

const (
	errNone           status = 0
	errPermission     status = 1
	errNotFound       status = 2
	errIO             status = 5
	errAccess         status = 13
	errExists         status = 17
	errOtherDevice    status = 18
	errNotDirectory   status = 20
	errIsDirectory    status = 21
	errInvalid        status = 22
	errTooLarge       status = 27
	errNoSpace        status = 28
	errReadOnly       status = 30
	errTooManyLinks   status = 31
	errNameTooLong    status = 63
	errNotEmpty       status = 66
	errQuota          status = 69
	errStale          status = 70
	errBadHandle      status = 10001
	errNotSynchronous status = 10002
	errNotSupported   status = 10004
	errTooSmall       status = 10005
)

func (s status) Error() string { return "NFS status " + unix.ErrnoName(unix.Errno(s)) }

// statuses are the kernel's errors that have a status of their own.
var statuses = map[unix.Errno]status{
	unix.EPERM: errPermission, unix.ENOENT: errNotFound, unix.EACCES: errAccess, unix.EEXIST: errExists,
	unix.EXDEV: errOtherDevice, unix.ENOTDIR: errNotDirectory, unix.EISDIR: errIsDirectory,
	unix.EINVAL: errInvalid, unix.EFBIG: errTooLarge, unix.ENOSPC: errNoSpace, unix.EROFS: errReadOnly,
	unix.EMLINK: errTooManyLinks, unix.ENAMETOOLONG: errNameTooLong, unix.ENOTEMPTY: errNotEmpty,
	unix.EDQUOT: errQuota, unix.ESTALE: errStale, unix.EOPNOTSUPP: errNotSupported,
}

func statusOf(err error) status {
	if err == nil {
		return errNone
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
	return errIO
}
