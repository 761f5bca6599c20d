package httpserver_test

import (
	"bytes"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// TestHandler_TakesARefusedUploadOfHTTP2 sends everything before it looks at the
// answer, as curl does, which loses the answer where its stream is reset before.
func TestHandler_TakesARefusedUploadOfHTTP2(t *testing.T) {
	t.Parallel()
	server := start(t, 0, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = conn.Write([]byte(http2.ClientPreface))
	require.NoError(t, err)
	framer := http2.NewFramer(conn, conn)
	require.NoError(t, framer.WriteSettings())
	var head bytes.Buffer
	encoder := hpack.NewEncoder(&head)
	for _, field := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":authority", "x"}, {":path", "/"}, {"content-length", "3000000"}} {
		require.NoError(t, encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}))
	}
	require.NoError(t, framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: head.Bytes(), EndHeaders: true}))
	const initialWindow, frameSize = 65535, 15000
	left, ofStream, ofConnection, ended := 3_000_000, initialWindow, initialWindow, false
	for !ended {
		for left > 0 && ofStream >= frameSize && ofConnection >= frameSize {
			left, ofStream, ofConnection = left-frameSize, ofStream-frameSize, ofConnection-frameSize
			require.NoError(t, framer.WriteData(1, left == 0, make([]byte, frameSize)))
		}
		frame, err := framer.ReadFrame()
		require.NoError(t, err)
		switch frame := frame.(type) {
		case *http2.WindowUpdateFrame:
			if frame.StreamID == 0 {
				ofConnection += int(frame.Increment)
			} else {
				ofStream += int(frame.Increment)
			}
		case *http2.SettingsFrame:
			if size, set := frame.Value(http2.SettingInitialWindowSize); set {
				ofStream += int(size) - initialWindow
			}
		case *http2.HeadersFrame:
			ended = frame.StreamEnded()
		case *http2.DataFrame:
			ended = frame.StreamEnded()
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			require.Fail(t, "the stream was reset", "%d bytes were left to send: %v", left, frame)
		}
	}
	require.Zero(t, left, "the whole body was taken")
}
