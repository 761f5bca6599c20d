// Package buildstep does what the steps of a template's build need in the guest and a
// command line cannot do in every image: it makes users and directories, unpacks and packs
// files, downloads, and mounts secrets. The host runs this program as root, with one
// request as its argument.
//
// Everything happens in the build's own guest, as root: what the request, the archives and
// the file system hold harms no other.
package buildstep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// Argument is the program's first argument for this mode; the second is the request.
const Argument = "build-step"

// Request is one piece of work. Exactly one field is set.
type Request struct {
	User    *User    `json:"user,omitempty"`
	Workdir *Workdir `json:"workdir,omitempty"`
	Status  *Status  `json:"status,omitempty"`
	Settle  *Settle  `json:"settle,omitempty"`

	Profile        *Profile        `json:"profile,omitempty"`
	Copy           *Copy           `json:"copy,omitempty"`
	Pack           *Pack           `json:"pack,omitempty"`
	Download       *Download       `json:"download,omitempty"`
	CheckURL       *CheckURL       `json:"checkURL,omitempty"`
	MountSecret    *MountSecret    `json:"mountSecret,omitempty"`
	UnmountSecrets *UnmountSecrets `json:"unmountSecrets,omitempty"`
}

// Result is what was found or done. It is the last line of standard error, in JSON.
type Result struct {
	// Failure says why the work was not done.
	Failure *Failure `json:"failure,omitempty"`
	// Changed: something in the file system is another than before.
	Changed bool `json:"changed,omitempty"`
	// Name and Home are a user's; the name is "user:group" where a group was asked for.
	Name string `json:"name,omitempty"`
	Home string `json:"home,omitempty"`
	// Digest is of files that were packed, or of what a URL has.
	Digest string `json:"digest,omitempty"`
	// ETag and LastModified are what the server of a URL said of it.
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"lastModified,omitempty"`
	// OutOfMemoryKills counts the commands that were ended since the boot because memory
	// ran out; DiskFreeBytes is what is left on the root file system.
	OutOfMemoryKills int64 `json:"outOfMemoryKills,omitempty"`
	DiskFreeBytes    int64 `json:"diskFreeBytes,omitempty"`
}

// Failure is an error for the owner of the build.
type Failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Codes of failures.
const (
	codeNoSpace  = "no_space"
	codeMissing  = "file_missing"
	codeMismatch = "hash_mismatch"
	codeOther    = "other"
)

// Errors with codes of their own.
var (
	errMissing  = errors.New("not found")
	errMismatch = errors.New("hash mismatch")
)

// Main does one request and returns the program's exit status.
func Main(ctx context.Context, arguments []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var request Request
	if len(arguments) != 1 || json.Unmarshal([]byte(arguments[0]), &request) != nil {
		fmt.Fprintln(stderr, "want one request in JSON")
		return 2
	}
	result, err := request.do(ctx, stdin, stdout)
	status := 0
	if err != nil {
		status = 1
		result.Failure = &Failure{Code: codeOf(err), Message: err.Error()}
	}
	encoded, err := json.Marshal(result)
	if err != nil {
		return 2
	}
	fmt.Fprintf(stderr, "%s\n", encoded)
	return status
}

func (r Request) do(ctx context.Context, stdin io.Reader, stdout io.Writer) (Result, error) {
	switch {
	case r.User != nil:
		return r.User.do()
	case r.Workdir != nil:
		return r.Workdir.do()
	case r.Status != nil:
		return r.Status.do()
	case r.Settle != nil:
		return r.Settle.do()
	case r.Profile != nil:
		return r.Profile.do()
	case r.Copy != nil:
		return r.Copy.do(ctx, stdin)
	case r.Pack != nil:
		return r.Pack.do(ctx, stdout)
	case r.Download != nil:
		return r.Download.do(ctx, stdin)
	case r.CheckURL != nil:
		return r.CheckURL.do(ctx, stdin)
	case r.MountSecret != nil:
		return r.MountSecret.do(stdin)
	case r.UnmountSecrets != nil:
		return r.UnmountSecrets.do()
	default:
		return Result{}, errors.New("the request is empty")
	}
}

func codeOf(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return codeNoSpace
	case errors.Is(err, errMissing):
		return codeMissing
	case errors.Is(err, errMismatch):
		return codeMismatch
	default:
		return codeOther
	}
}

// describe is an error without the name of the operation, which says nothing to the owner
// of a build.
func describe(err error) error {
	var failed *fs.PathError
	if errors.As(err, &failed) {
		return fmt.Errorf("%s: %w", failed.Path, failed.Err)
	}
	var link *os.LinkError
	if errors.As(err, &link) {
		return fmt.Errorf("%s: %w", link.New, link.Err)
	}
	return err
}
