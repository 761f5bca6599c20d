// Package httpservertest asks servers in ways that clients' libraries hide: with
// bodies that are refused, and with another request on the same connection.
package httpservertest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience is how long one question may take.
const patience = 30 * time.Second

// Question is a request with a body of some size, and how it is sent.
type Question struct {
	Method, Path string
	Header       http.Header
	Size         int
	// Expects waits for "100 Continue" before the body is sent.
	Expects bool
	// Chunked does not say the size.
	Chunked bool
	// Eager reads the answer while the body is sent; others send everything first.
	Eager bool
	HTTP2 bool
}

// Variants are all ways to send a question, with bodies that fit into buffers, that
// servers drain, and that they do not.
func Variants(q Question) []Question {
	var all []Question
	for _, q.Size = range []int{5 << 10, 200 << 10, 3 << 20} {
		for flags := range 16 {
			q.Expects, q.Chunked, q.Eager, q.HTTP2 = flags&1 > 0, flags&2 > 0, flags&4 > 0, flags&8 > 0
			if !q.HTTP2 || q.Eager { // HTTP/2 is always eager
				all = append(all, q)
			}
		}
	}
	return all
}

// String names a question in tests.
func (q Question) String() string {
	return fmt.Sprintf("%s %s %d expects=%t chunked=%t eager=%t http2=%t", q.Method, q.Path, q.Size, q.Expects, q.Chunked, q.Eager, q.HTTP2)
}

// Answer is what came back, whole.
type Answer struct {
	Status int
	Body   []byte
}

// Ask asks a server and then, unless the answer says that the connection ends, the
// next question on the same connection. It answers both; the second is zero where
// it was not asked.
func Ask(t *testing.T, url string, q, next Question) (first, second Answer) {
	t.Helper()
	if q.HTTP2 {
		return askHTTP2(t, url, q, next)
	}
	return askHTTP1(t, strings.TrimPrefix(url, "http://"), q, next)
}

func askHTTP1(t *testing.T, address string, q, next Question) (first, second Answer) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	answers := bufio.NewReader(conn)
	_, err = conn.Write(q.head(address))
	require.NoError(t, err)
	response := q.awaitContinue(t, answers)
	sent := make(chan error, 1)
	switch send := func() { _, err := conn.Write(q.body()); sent <- err }; {
	case response != nil:
		sent <- nil
		require.True(t, response.Close, "a refused body is not sent, so that the connection cannot go on")
	case q.Eager:
		go send()
	default:
		send()
	}
	if response == nil {
		response = readAnswer(t, answers)
	}
	first = answerOf(t, response)
	if response.Close {
		_ = conn.Close()
		if err := <-sent; !q.Eager {
			require.NoError(t, err, "the body must be taken while its client sends it")
		}
		return first, Answer{}
	}
	require.NoError(t, <-sent)
	_, err = conn.Write(next.head(address))
	require.NoError(t, err)
	_, err = conn.Write(next.body())
	require.NoError(t, err, "a connection that did not say that it ends goes on")
	return first, answerOf(t, readAnswer(t, answers))
}

func (q Question) head(address string) []byte {
	var head bytes.Buffer
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\n", q.Method, q.Path, address)
	_ = q.Header.Write(&head)
	if q.Expects {
		head.WriteString("Expect: 100-continue\r\n")
	}
	if q.Chunked {
		head.WriteString("Transfer-Encoding: chunked\r\n\r\n")
	} else {
		fmt.Fprintf(&head, "Content-Length: %d\r\n\r\n", q.Size)
	}
	return head.Bytes()
}

func (q Question) body() []byte {
	payload := bytes.Repeat([]byte("x"), q.Size)
	if !q.Chunked {
		return payload
	}
	return fmt.Appendf(nil, "%x\r\n%s\r\n0\r\n\r\n", q.Size, payload)
}

// awaitContinue answers what came instead of "100 Continue", or nil.
func (q Question) awaitContinue(t *testing.T, answers *bufio.Reader) *http.Response {
	t.Helper()
	if !q.Expects {
		return nil
	}
	response, err := http.ReadResponse(answers, nil)
	require.NoError(t, err)
	if response.StatusCode == http.StatusContinue {
		return nil
	}
	return response
}

// readAnswer skips informational answers.
func readAnswer(t *testing.T, answers *bufio.Reader) *http.Response {
	t.Helper()
	for {
		response, err := http.ReadResponse(answers, nil)
		require.NoError(t, err, "the answer must come before the connection ends")
		if response.StatusCode >= http.StatusOK {
			return response
		}
	}
}

func answerOf(t *testing.T, response *http.Response) Answer {
	t.Helper()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err, "the answer must be whole")
	require.NoError(t, response.Body.Close())
	return Answer{response.StatusCode, body}
}

func askHTTP2(t *testing.T, url string, q, next Question) (first, second Answer) {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	connections := map[net.Conn]bool{}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { connections[info.Conn] = true }})
	ask := func(q Question) Answer {
		var body io.Reader = bytes.NewReader(make([]byte, q.Size))
		if q.Chunked {
			body = io.MultiReader(body) // of a length that is not known
		}
		request, err := http.NewRequestWithContext(ctx, q.Method, url+q.Path, body)
		require.NoError(t, err)
		request.Header = http.Header{}
		maps.Copy(request.Header, q.Header)
		if q.Expects {
			request.Header.Set("Expect", "100-continue")
		}
		response, err := transport.RoundTrip(request)
		require.NoError(t, err)
		return answerOf(t, response)
	}
	first, second = ask(q), ask(next)
	require.Len(t, connections, 1, "the connection goes on")
	return first, second
}
