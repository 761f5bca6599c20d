package image

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/url"
	"os"

	"golang.org/x/sys/unix"
)

func isCertificateError(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		authority    x509.UnknownAuthorityError
		host         x509.HostnameError
		wrong        x509.CertificateInvalidError
	)
	return errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &host) || errors.As(err, &wrong)
}

// isNetworkError says whether a connection was not made, or ended early.
func isNetworkError(err error) bool {
	var ofNetwork net.Error
	var operation *net.OpError
	var record tls.RecordHeaderError
	var request *url.Error
	return errors.As(err, &operation) || errors.As(err, &record) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, unix.ECONNRESET) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.As(err, &ofNetwork) && (ofNetwork.Timeout() || !errors.As(err, &request)) ||
		errors.As(err, &request) && errors.Is(request.Err, io.EOF)
}

func isFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }
