package channels

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/internet"
	"git.omukk.dev/wrenn/sandbox/pkg/mail"
)

// maxExcerptBytes is how much of an answer is kept.
const maxExcerptBytes = 1024

// outcome is how one attempt ended.
type outcome struct {
	statusCode int
	response   string
	err        error
	// hopeless says that no further attempt would end differently.
	hopeless bool
	// retryAfter is how long the receiver asks to be left alone.
	retryAfter time.Duration
}

// sender takes messages to where they go.
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
		return outcome{err: err, hopeless: errors.Is(err, mail.ErrInvalid)}
	}
	request, err := m.request(ctx, time.Now())
	if err != nil {
		return outcome{err: withoutURL(err), hopeless: true}
	}
	request.Header.Set("User-Agent", "Wrenn")
	response, err := s.outbound.do(request)
	if err != nil {
		return outcome{err: withoutURL(err)}
	}
	defer response.Body.Close()
	return answered(response)
}

func answered(response *http.Response) outcome {
	// What cannot be read of an answer is no matter: its status has come.
	excerpt, _ := io.ReadAll(io.LimitReader(response.Body, maxExcerptBytes))
	result := outcome{statusCode: response.StatusCode, response: storable(string(excerpt))}
	if response.StatusCode/100 == 2 {
		return result
	}
	result.err = fmt.Errorf("the receiver answered %d", response.StatusCode)
	result.hopeless = response.StatusCode == http.StatusGone
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
		result.retryAfter = min(time.Duration(seconds)*time.Second, longestDelay)
	}
	return result
}

// withoutURL takes the address out of an error: it can hold what opens a channel,
// and where a private name leads is nobody's business.
func withoutURL(err error) error {
	for _, refusal := range []error{internet.ErrForbiddenAddress, ErrPlainHTTP} {
		if errors.Is(err, refusal) {
			return refusal
		}
	}
	var withAddress *url.Error
	if errors.As(err, &withAddress) {
		return withAddress.Err
	}
	return err
}

// storable makes a stranger's text fit for the database.
func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}
