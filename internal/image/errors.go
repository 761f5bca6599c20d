package image

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"git.omukk.dev/wrenn/sandbox/internal/image/rootfs"
	"git.omukk.dev/wrenn/sandbox/pkg/internet"
)

// Cause is why an image cannot be used.
type Cause int

// Causes, as BuildFailureCause of the hosts' protocol has them.
const (
	NotFound Cause = iota + 1
	Unauthorized
	WrongPlatform
	RegistryUnreachable
	// Invalid is an image, or a name of one, that breaks a rule or a limit.
	Invalid
	// NoSpace says that the image is too large for the disk, or the host is full.
	NoSpace
)

// Error is what the image's owner can mend, or has to know. All other errors are the
// machine's.
type Error struct {
	Cause Cause
	// Message says what happened and what to do, for the image's owner: nothing in it is
	// internal.
	Message string
	// Err is what the operator may want to know besides; may be nil.
	Err error
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Message
	}
	return fmt.Sprintf("%s (%v)", e.Message, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

func invalid(format string, arguments ...any) *Error {
	return &Error{Cause: Invalid, Message: fmt.Sprintf(format, arguments...)}
}

// errPlainHTTP is returned for a request without TLS to a registry that the operator has
// not named as insecure.
var errPlainHTTP = errors.New("a request without TLS is not allowed")

// explainRegistry says what a failed request to a registry means. name is the image's, host
// the registry's.
func explainRegistry(ctx context.Context, err error, name, host string, credentials bool) error {
	var known *Error
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.As(err, &known) {
		return err
	}
	var answered *transport.Error
	if errors.As(err, &answered) {
		return explainAnswer(answered, name, host, credentials)
	}
	unreachable := func(format string, arguments ...any) error {
		return &Error{Cause: RegistryUnreachable, Message: fmt.Sprintf(format, arguments...), Err: err}
	}
	var notFound *net.DNSError
	switch {
	case errors.Is(err, internet.ErrForbiddenAddress):
		return unreachable("The registry %s, or where it sends us, is not at a public address. Use a public registry, or ask the operator to allow this one (WRENN_PRIVATE_REGISTRIES).", host)
	case errors.As(err, &notFound) && notFound.IsNotFound:
		return unreachable("There is no registry %s: its name is not known. Check the image's name, %s.", host, name)
	case isCertificateError(err):
		return unreachable("The registry %s has a certificate that this installation does not trust. Ask the operator to add its authority (WRENN_REGISTRY_CA_FILE).", host)
	case errors.Is(err, errPlainHTTP):
		return unreachable("The registry %s does not use TLS. Use one that does, or ask the operator to allow this one (WRENN_INSECURE_REGISTRIES).", host)
	case isNetworkError(err):
		return unreachable("The registry %s cannot be reached. Check its name, and try again later.", host)
	default:
		return &Error{Cause: Invalid, Message: fmt.Sprintf("The registry %s does not answer as registries do for %s. Check the image's name.", host, name), Err: err}
	}
}

// explainAnswer says what an HTTP status of a registry means.
func explainAnswer(answer *transport.Error, name, host string, credentials bool) error {
	explained := &Error{Err: answer}
	switch status := answer.StatusCode; {
	case status == http.StatusNotFound:
		explained.Cause = NotFound
		explained.Message = fmt.Sprintf("There is no image %s. Check its name and its tag.", name)
	case (status == http.StatusUnauthorized || status == http.StatusForbidden) && credentials:
		explained.Cause = Unauthorized
		explained.Message = fmt.Sprintf("The registry %s refuses the credentials for %s. Check them, what they may read, and the image's name.", host, name)
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		explained.Cause = Unauthorized
		explained.Message = fmt.Sprintf("The image %s does not exist, or needs credentials. Check its name, or give credentials for %s.", name, host)
	case status == http.StatusTooManyRequests:
		explained.Cause = RegistryUnreachable
		explained.Message = fmt.Sprintf("The registry %s allows no more pulls for now. Try again later, or give credentials, for which it may allow more.", host)
	case status >= http.StatusInternalServerError:
		explained.Cause = RegistryUnreachable
		explained.Message = fmt.Sprintf("The registry %s fails with HTTP status %d. Try again later.", host, status)
	default:
		explained.Cause = Invalid
		explained.Message = fmt.Sprintf("The registry %s answers with HTTP status %d for %s. Check the image's name.", host, status, name)
	}
	return explained
}

// explainDisk says what a failure to make a disk means.
func explainDisk(err error, name string, diskMiB int) error {
	var broken *rootfs.InvalidError
	switch {
	case errors.As(err, &broken):
		return &Error{Cause: Invalid, Message: fmt.Sprintf("The image %s cannot be used: %s.", name, broken.Text), Err: err}
	case errors.Is(err, rootfs.ErrDiskFull):
		return &Error{Cause: NoSpace, Message: fmt.Sprintf("The files of the image %s do not fit on the template's disk of %d MiB. Ask for a larger disk.", name, diskMiB), Err: err}
	case errors.Is(err, rootfs.ErrTooManyFiles):
		return &Error{Cause: NoSpace, Message: fmt.Sprintf("The image %s has more files than a disk of %d MiB can hold. Ask for a larger disk.", name, diskMiB), Err: err}
	default:
		return explainHost(err)
	}
}

// explainHost says that the host is full, if that is what an error means.
func explainHost(err error) error {
	if errors.Is(err, rootfs.ErrHostFull) || isFull(err) {
		return &Error{Cause: NoSpace, Message: "The machine that builds has no room for the image. Try again later, or ask the operator.", Err: err}
	}
	return err
}
