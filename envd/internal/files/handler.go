// Package files moves file contents in and out of the guest over HTTP.
package files

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"syscall"
	"time"

	"git.omukk.dev/wrenn/sandbox/envd/internal/permissions"
	"git.omukk.dev/wrenn/sandbox/envd/internal/settings"
	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/filesystem"
	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/utils"
)

// Handler serves /files and /files/compose. Make one with New.
type Handler struct {
	settings *settings.Settings
	log      *slog.Logger
	locks    fileLocks
	idle     time.Duration // after which an upload that sends nothing is ended
}

// New returns a handler.
func New(settings *settings.Settings, log *slog.Logger) *Handler {
	return &Handler{settings: settings, log: log, idle: uploadIdle}
}

// Entry describes a file that a client has written.
type Entry struct {
	Path     string            `json:"path"`
	Name     string            `json:"name"`
	Type     string            `json:"type"`
	Metadata map[string]string `json:"metadata,omitempty"`
}

// requestError is a client's mistake.
type requestError struct{ message string }

func (e *requestError) Error() string { return e.message }

func badRequest(format string, arguments ...any) error {
	return &requestError{fmt.Sprintf(format, arguments...)}
}

// described is an error with a message that clients compare.
type described struct {
	message string
	cause   error
}

func (e *described) Error() string { return e.message }
func (e *described) Unwrap() error { return e.cause }

// errIsDirectory is returned for a directory in place of a file.
var errIsDirectory = errors.New("the path is a directory")

// fail answers with an error; it maps all errors of this package to their status.
func (h *Handler) fail(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	var mistake *requestError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &mistake), errors.As(err, &tooLarge), errors.Is(err, filesystem.ErrInvalidPath), errors.Is(err, errIsDirectory),
		errors.Is(err, permissions.ErrUnknownUser),
		errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EISDIR), errors.Is(err, syscall.EEXIST), errors.Is(err, syscall.ENAMETOOLONG), errors.Is(err, syscall.ELOOP),
		errors.Is(err, syscall.EROFS), errors.Is(err, syscall.ETXTBSY), errors.Is(err, syscall.EOPNOTSUPP):
		status = http.StatusBadRequest
	case errors.Is(err, errNotAcceptable):
		status = http.StatusNotAcceptable
	case errors.Is(err, fs.ErrPermission): // not even root may; 401 means a wrong token
		status = http.StatusForbidden
	case errors.Is(err, fs.ErrNotExist):
		status = http.StatusNotFound
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		status = http.StatusInsufficientStorage
	default:
		h.log.Error("move a file", "error", err)
	}
	utils.WriteError(w, status, err.Error())
}

// caller finds the user a request names, or the default one.
func (h *Handler) caller(name string) (*permissions.User, error) { return h.settings.User(name) }

func (h *Handler) resolve(path string, user *permissions.User) (string, error) {
	return filesystem.Resolve(path, user.Home, h.settings.Workdir())
}
