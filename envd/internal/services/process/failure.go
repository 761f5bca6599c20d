package process

import (
	"context"
	"errors"

	"connectrpc.com/connect"

	"git.omukk.dev/wrenn/sandbox/envd/internal/permissions"
)

func callerError(err error) error {
	if errors.Is(err, permissions.ErrUnknownUser) {
		return connect.NewError(connect.CodeInvalidArgument, err)
	}
	return connect.NewError(connect.CodeInternal, err)
}

func inputError(err error) error {
	switch {
	case errors.Is(err, errNoStdin), errors.Is(err, errStdinClosed), errors.Is(err, errNoPTY), errors.Is(err, errHasPTY):
		return connect.NewError(connect.CodeFailedPrecondition, err)
	case errors.Is(err, errNoInput):
		return connect.NewError(connect.CodeInvalidArgument, err)
	case errors.Is(err, errEnded):
		return connect.NewError(connect.CodeNotFound, err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	default:
		return connect.NewError(connect.CodeInternal, err)
	}
}
