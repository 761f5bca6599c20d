package buildlog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// collected is what one watcher got.
type collected struct {
	entries []Entry
	steps   []StepState
	result  string
}

func (c *collected) watcher() Watcher[string] {
	return Watcher[string]{
		Entry:  func(entry Entry) error { c.entries = append(c.entries, entry); return nil },
		Step:   func(state StepState) error { c.steps = append(c.steps, state); return nil },
		Result: func(result string) error { c.result = result; return nil },
	}
}

func TestWatch_ReplaysFromAnEntryFollowsAndEndsWithTheResult(t *testing.T) {
	t.Parallel()
	log := New[string]()
	log.Add(Info, "base", "one")
	log.Add(Warn, "1", "two")
	log.SetStep(StepState{Step: "1"})
	followed := make(chan collected, 1)
	go func() {
		var c collected
		_ = log.Watch(context.Background(), 1, c.watcher())
		followed <- c
	}()
	log.Add(Error, "1", "three")
	log.Finish("done")
	c := <-followed
	require.Len(t, c.entries, 2)
	require.Equal(t, uint64(2), c.entries[0].Sequence)
	require.Equal(t, "three", c.entries[1].Text)
	require.Len(t, c.steps, 1)
	require.Equal(t, "done", c.result)

	var late collected
	require.NoError(t, log.Watch(t.Context(), 99, late.watcher()))
	require.Empty(t, late.entries)
	require.Equal(t, "done", late.result)
}

func TestWatch_EndsWithItsWatcher(t *testing.T) {
	t.Parallel()
	log := New[string]()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	var c collected
	require.ErrorIs(t, log.Watch(ctx, 0, c.watcher()), context.DeadlineExceeded)
	log.Add(Info, "1", "one")
	broken := errors.New("broken")
	to := c.watcher()
	to.Entry = func(Entry) error { return broken }
	require.ErrorIs(t, log.Watch(t.Context(), 0, to), broken)
}

func TestAdd_IsBoundedAndSaysSo(t *testing.T) {
	t.Parallel()
	log := New[string]()
	for i := range maxEntries + 10 {
		log.Add(Info, "1", fmt.Sprint(i))
	}
	log.AddAlways(Error, "1", "failed")
	log.Finish("")
	var c collected
	require.NoError(t, log.Watch(t.Context(), 0, c.watcher()))
	require.Len(t, c.entries, maxEntries+2)
	require.Contains(t, c.entries[maxEntries].Text, "left out")
	require.Equal(t, "failed", c.entries[maxEntries+1].Text)

	large := New[string]()
	for range maxBytes/MaxLineBytes + 2 {
		large.Add(Info, "1", strings.Repeat("x", MaxLineBytes))
	}
	require.True(t, large.full)
}

func lines(t *testing.T, secrets []string, writes ...string) []string {
	t.Helper()
	var values [][]byte
	for _, secret := range secrets {
		values = append(values, []byte(secret))
	}
	got := []string{}
	l := NewLines(values, func(line string) { got = append(got, line) })
	for _, text := range writes {
		n, err := l.Write([]byte(text))
		require.NoError(t, err)
		require.Equal(t, len(text), n)
	}
	l.Close()
	return got
}

func TestLines_AreSafeToShow(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		writes []string
		want   []string
	}{
		"parts of lines":        {[]string{"a", "b\nc", "\n"}, []string{"ab", "c"}},
		"no newline at the end": {[]string{"a\nb"}, []string{"a", "b"}},
		"an empty line":         {[]string{"a\n\nb\n"}, []string{"a", "", "b"}},
		"a bar":                 {[]string{"10%\r50%\r100%\nnext\r\n"}, []string{"100%", "next"}},
		"colours":               {[]string{"\x1b[1;31mred\x1b[0m \x1b]0;title\aafter\x1b]8;;url\x1b\\link\n"}, []string{"red afterlink"}},
		"an escape at the end":  {[]string{"a\x1b"}, []string{"a"}},
		"an unfinished string":  {[]string{"a\x1b]0;never ends\n"}, []string{"a"}},
		"bytes":                 {[]string{"a\xff\x00b\x07\x7fc\td\n"}, []string{"a\ufffdbc\td"}},
		"directions":            {[]string{"a\u202eb\u2028c\n"}, []string{"abc"}},
		"only colours":          {[]string{"\x1b[0m\n"}, []string{}},
	} {
		require.Equal(t, test.want, lines(t, nil, test.writes...), name)
	}
}

func TestLines_AreBounded(t *testing.T) {
	t.Parallel()
	endless := strings.Repeat("y", 10*keptBytes)
	got := lines(t, nil, endless[:keptBytes/2], endless, "\nnext\n")
	require.Len(t, got, 2)
	require.LessOrEqual(t, len(got[0]), MaxLineBytes+len(cutMark))
	require.True(t, strings.HasSuffix(got[0], cutMark))
	require.Equal(t, "next", got[1])
	wide := lines(t, nil, strings.Repeat("€", MaxLineBytes))
	require.NotContains(t, wide[0], "\ufffd", "a character is not cut")
}

func TestLines_HideSecrets(t *testing.T) {
	t.Parallel()
	secrets := []string{"hunter2", "first line\nsecond line\n", "hunter2-and-more", "ab"}
	require.Equal(t, []string{"a *** and ***", "*** x", "***", "ab"},
		lines(t, secrets, "a hun", "ter2 and hunter2-and-more\n", "second line x\nfirst line\nab\n"))
	long := strings.Repeat("s", 100)
	cut := lines(t, []string{long}, strings.Repeat("\x1b[0m", (keptBytes-50)/4)+long+long)
	require.NotContains(t, cut[0], "sss", "nor what is left of one that was cut")
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("a\x1b[1mb\n"), []byte("\r\xff"))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		l := NewLines([][]byte{[]byte("secret")}, func(line string) {
			require.LessOrEqual(t, len(line), MaxLineBytes+len(cutMark))
			require.NotContains(t, line, "\x1b")
			require.NotContains(t, line, "secret")
		})
		_, _ = l.Write(first)
		_, _ = l.Write(second)
		l.Close()
	})
}
