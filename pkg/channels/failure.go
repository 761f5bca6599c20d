package channels

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"syscall"

	"git.omukk.dev/wrenn/sandbox/pkg/internet"
	"git.omukk.dev/wrenn/sandbox/pkg/mail"
)

// Failure is the reason of a failed attempt, as the team may see it: a constant of this
// file or a result of answeredWith. It never contains text or addresses that came from
// the network.
type Failure string

// The reasons for which an attempt fails.
const (
	FailureForbiddenAddress = Failure("the address is not a public one")
	FailurePlainHTTP        = Failure("http is possible only within the networks that the installation allows; use https")
	FailureUnknownName      = Failure("the receiver's name leads to no address")
	FailureNoAnswer         = Failure("the receiver did not answer in time")
	FailureUnreachable      = Failure("no connection to the receiver was possible")
	FailureCertificate      = Failure("the receiver's TLS certificate is not valid")
	FailureNoTLS            = Failure("the receiver does not speak TLS as expected")
	FailureNotSent          = Failure("the message could not be sent")
	FailureMessage          = Failure("the message could not be made from the event")
	FailureMail             = Failure("the mail server did not take the message")
	FailureRecipient        = Failure("the message cannot be mailed to these recipients")
	FailureDisabled         = Failure("the channel is not enabled")
	FailureHidden           = Failure("the channel may not tell of events of this kind")
	FailureConfig           = Failure("the channel's config cannot be opened")
)

// answeredWith is the failure of an HTTP status.
func answeredWith(status int) Failure {
	return Failure(fmt.Sprintf("the receiver answered %03d", status))
}

// failureOf returns the reason of a request's error.
func failureOf(err error) Failure {
	var unresolved *net.DNSError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var authority x509.UnknownAuthorityError
	var timeout net.Error
	switch {
	case errors.Is(err, internet.ErrForbiddenAddress):
		return FailureForbiddenAddress
	case errors.Is(err, ErrPlainHTTP):
		return FailurePlainHTTP
	case errors.As(err, &unresolved):
		return FailureUnknownName
	case errors.As(err, &certificate), errors.As(err, &authority):
		return FailureCertificate
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record), errors.As(err, &alert):
		return FailureNoTLS
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return FailureNoAnswer
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return FailureUnreachable
	default:
		return FailureNotSent
	}
}

// mailFailureOf returns the reason of a mail's error.
func mailFailureOf(err error) Failure {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, mail.ErrInvalid):
		return FailureRecipient
	default:
		return FailureMail
	}
}
