package filesystem

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"connectrpc.com/connect"

	"git.omukk.dev/wrenn/sandbox/envd/internal/permissions"
	shared "git.omukk.dev/wrenn/sandbox/envd/internal/shared/filesystem"
)

var (
	errNotDirectory       = errors.New("it is not a directory")
	errRemoveRoot         = errors.New("the root directory cannot be removed")
	errRemoveNothing      = errors.New("a path to remove must be given")
	errSamePlace          = errors.New("source and destination are the same")
	errIntoItself         = errors.New("a directory cannot be moved into itself")
	errListTooLong        = errors.New("the listing is too long: list its subdirectories, or less deeply")
	errNoWatcher          = errors.New("no such watcher: it was never created, was removed, or was not asked for so long that it expired")
	errTooManyWatchers    = errors.New("there are too many watchers: remove some")
	errTooManyDirectories = errors.New("there are too many directories to watch them all: watch less, or raise fs.inotify.max_user_watches")
	errNetworkMount       = errors.New("it is on a network mount, whose changes are not all seen: allow network mounts in the request")
	errOverflow           = errors.New("changes came faster than they could be told and some are missing: watch again")
	errRootGone           = errors.New("the watched directory was removed, renamed or unmounted")
	errClosed             = errors.New("envd is shutting down")
)

// toConnect maps an error to its code. An error with a code keeps it.
func toConnect(err error) error {
	if coded := new(connect.Error); err == nil || errors.As(err, &coded) {
		return err
	}
	for _, row := range codes {
		for _, known := range row.errors {
			if errors.Is(err, known) {
				return connect.NewError(row.code, err)
			}
		}
	}
	return connect.NewError(connect.CodeInternal, err)
}

// codes are searched in order; the first row with an error decides.
var codes = []struct {
	code   connect.Code
	errors []error
}{
	{connect.CodeInvalidArgument, []error{
		permissions.ErrUnknownUser, shared.ErrInvalidPath, errNotDirectory, errRemoveRoot, errRemoveNothing, errSamePlace, errIntoItself, errNetworkMount,
		syscall.ENOTDIR, syscall.EINVAL, syscall.ENAMETOOLONG, syscall.ELOOP, syscall.EXDEV,
	}},
	{connect.CodeNotFound, []error{fs.ErrNotExist, errNoWatcher, errRootGone}},
	{connect.CodeAlreadyExists, []error{fs.ErrExist, syscall.ENOTEMPTY, syscall.EISDIR}},
	{connect.CodePermissionDenied, []error{fs.ErrPermission, syscall.EROFS}},
	{connect.CodeFailedPrecondition, []error{syscall.EBUSY}},
	{connect.CodeResourceExhausted, []error{
		errTooManyWatchers, errTooManyDirectories, errListTooLong, syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, syscall.ENFILE,
	}},
	{connect.CodeDataLoss, []error{errOverflow}},
	{connect.CodeUnavailable, []error{errClosed, syscall.ENOTCONN, syscall.ESTALE}},
	{connect.CodeDeadlineExceeded, []error{context.DeadlineExceeded}},
	{connect.CodeCanceled, []error{context.Canceled}},
}
