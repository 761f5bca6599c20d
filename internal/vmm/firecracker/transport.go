package firecracker

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
)

// maxAnswerBytes bounds one answer.
const maxAnswerBytes = 64 << 10

// transport guards the SDK's client from a Firecracker that a guest has taken over.
// The client panics on a success that its call does not expect, follows redirections,
// and reads answers of any length.
type transport struct {
	*http.Transport
}

func newTransport(dial func(ctx context.Context) (net.Conn, error)) *transport {
	return &transport{&http.Transport{
		DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		MaxConnsPerHost: 1,
	}}
}

// RoundTrip passes on errors, 200 with content for GET, and 204 for everything else.
func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.Transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	success := http.StatusNoContent
	if request.Method == http.MethodGet {
		success = http.StatusOK
	}
	if response.StatusCode != success && response.StatusCode < http.StatusBadRequest {
		response.Body.Close()
		return nil, fmt.Errorf("%s %s: unexpected status %s", request.Method, request.URL.Path, response.Status)
	}
	response.Body = &boundedBody{Reader: io.LimitReader(response.Body, maxAnswerBytes), Closer: response.Body}
	return response, nil
}

type boundedBody struct {
	io.Reader
	io.Closer
}
