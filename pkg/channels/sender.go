package channels

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/mail"
)

// maxAnswerBytes is how much of an answer is read before its connection is closed.
const maxAnswerBytes = 1024

// outcome is how one attempt ended.
type outcome struct {
	statusCode int
	// failure is empty for success; cause is for the log alone.
	failure Failure
	cause   error
	// hopeless says that no further attempt would succeed.
	hopeless bool
	// retryAfter is the delay that the receiver asks for.
	retryAfter time.Duration
}

// sender sends messages by HTTP or mail.
type sender struct {
	outbound *outbound
	mailer   mail.Mailer
}

func newSender(mailer mail.Mailer, allowed []netip.Prefix) *sender {
	return &sender{outbound: newOutbound(allowed), mailer: mailer}
}

func (s *sender) send(ctx context.Context, m message) outcome {
	ctx, cancel := context.WithTimeout(ctx, 2*sendTimeout)
	defer cancel()
	if m.kind == Email {
		err := s.mailer.Send(ctx, mail.Message{To: m.config.To, Subject: title(m.event), Text: text(m.event)})
		return outcome{failure: mailFailureOf(err), cause: err, hopeless: errors.Is(err, mail.ErrInvalid)}
	}
	request, err := m.request(ctx, time.Now())
	if err != nil {
		return outcome{failure: FailureMessage, cause: err, hopeless: true}
	}
	request.Header.Set("User-Agent", "Wrenn")
	response, err := s.outbound.do(request)
	if err != nil {
		return outcome{failure: failureOf(err), cause: withoutURL(err)}
	}
	defer response.Body.Close()
	return answered(response)
}

func answered(response *http.Response) outcome {
	// The status has come, so an error of the body does not matter.
	_, _ = io.CopyN(io.Discard, response.Body, maxAnswerBytes)
	result := outcome{statusCode: response.StatusCode}
	if response.StatusCode/100 == 2 {
		return result
	}
	result.failure = answeredWith(response.StatusCode)
	result.hopeless = response.StatusCode == http.StatusGone
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
		result.retryAfter = min(time.Duration(seconds)*time.Second, longestDelay)
	}
	return result
}

// withoutURL removes the address from an error for the log: it can contain a channel's
// secret.
func withoutURL(err error) error {
	var withAddress *url.Error
	if errors.As(err, &withAddress) {
		return withAddress.Err
	}
	return err
}
