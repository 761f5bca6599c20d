package volume

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"syscall"
)

// failure is an answer other than success.
type failure struct {
	status        int
	code, message string
}

func (f *failure) Error() string { return f.message }

func badRequest(message string) error {
	return &failure{http.StatusBadRequest, "invalid", message}
}

// failures are the answers for errors of the file system, the first that matches.
var failures = []struct {
	err error
	failure
}{
	{ErrNotFound, failure{http.StatusNotFound, "not_found", "the volume was not found"}},
	{ErrInvalid, failure{http.StatusNotFound, "not_found", "the volume was not found"}},
	{fs.ErrNotExist, failure{http.StatusNotFound, "not_found", "the path was not found"}},
	{syscall.ENOTDIR, failure{http.StatusNotFound, "not_found", "a part of the path is not a directory"}},
	{fs.ErrExist, failure{http.StatusConflict, "conflict", "the path exists already"}},
	{syscall.EISDIR, failure{http.StatusBadRequest, "invalid", "the path is a directory"}},
	{syscall.ENAMETOOLONG, failure{http.StatusBadRequest, "invalid", "a name in the path is too long"}},
	{syscall.ELOOP, failure{http.StatusBadRequest, "invalid", "the path has too many links"}},
	{syscall.EINVAL, failure{http.StatusBadRequest, "invalid", "that is not possible with this path"}},
	{syscall.ENOSPC, failure{http.StatusInsufficientStorage, "exhausted", "the volume's host has no room for it"}},
	{syscall.EDQUOT, failure{http.StatusInsufficientStorage, "exhausted", "the volume has no room for it: it has reached its size limit"}},
	{syscall.EFBIG, failure{http.StatusInsufficientStorage, "exhausted", "the file is too large"}},
}

// failureOf is the answer for an error. An error that is not the client's is "internal".
func failureOf(err error) failure {
	var own *failure
	if errors.As(err, &own) {
		return *own
	}
	for _, known := range failures {
		if errors.Is(err, known.err) {
			return known.failure
		}
	}
	var errno syscall.Errno
	var path *fs.PathError
	if errors.As(err, &path) && !errors.As(err, &errno) {
		// os.Root refused it before any call of the kernel: it leads out of the volume.
		return failure{http.StatusBadRequest, "invalid", "the path leads out of the volume"}
	}
	return failure{http.StatusInternalServerError, "internal", "internal error"}
}

func writeFailure(w http.ResponseWriter, err error) {
	answer := failureOf(err)
	writeJSON(w, answer.status, struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}{answer.code, answer.message})
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // it fails when the client has left
}
