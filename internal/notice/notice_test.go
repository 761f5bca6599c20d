package notice

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWarn_LogsEachMessageOnce(t *testing.T) {
	var written bytes.Buffer
	notices := New(slog.New(slog.NewTextHandler(&written, nil)))
	for range 1000 {
		notices.Warn("too much", "of", "this")
		notices.Warn("too fast")
	}
	require.Equal(t, 2, strings.Count(written.String(), "\n"))
	require.Contains(t, written.String(), `level=WARN msg="too much" of=this`)
}

func TestWarn_LogsAMessageAgainLater(t *testing.T) {
	notices, now := New(slog.New(slog.DiscardHandler)), time.Now()
	require.True(t, notices.due("too much", now))
	require.False(t, notices.due("too much", now.Add(Every-1)))
	require.True(t, notices.due("too much", now.Add(Every)))
}
