package process

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// collect feeds a splitter with pieces and returns the text before each mark, and the
// rest.
func collect(mark []byte, pieces [][]byte) (texts []string, held string) {
	s := splitter{mark: mark}
	var text []byte
	for _, piece := range pieces {
		for next := piece; ; next = nil {
			got, marked := s.feed(next)
			text = append(text, got...)
			if !marked {
				break
			}
			texts, text = append(texts, string(text)), nil
		}
	}
	return append(texts, string(text)), string(s.held)
}

func TestSplitter_FindsMarksWhereverTheyAreCut(t *testing.T) {
	t.Parallel()
	mark := markOf("token")
	whole := append(append([]byte("before\x00tok é"), mark...), "after"...)
	for at := range whole {
		texts, held := collect(mark, [][]byte{whole[:at], whole[at:]})
		require.Equal(t, []string{"before\x00tok é", "after"}, texts, "cut at %d", at)
		require.Empty(t, held)
	}
}

func TestSplitter_KeepsCharactersWhole(t *testing.T) {
	t.Parallel()
	s := splitter{mark: markOf("token")}
	text := strings.Repeat("aé€😀", 10)
	var all []byte
	for i := range len(text) {
		got, _ := s.feed([]byte{text[i]})
		require.True(t, utf8.Valid(got), "%q", got)
		all = append(all, got...)
	}
	require.Equal(t, text, string(all))
}

func FuzzSplitter(f *testing.F) {
	f.Add([]byte("some text"), 3)
	f.Add([]byte("\x00t\x00t\x00\xc3"), 2)
	f.Fuzz(func(t *testing.T, data []byte, cut int) {
		if cut < 0 || cut > len(data) {
			return
		}
		mark := markOf("t")
		texts, held := collect(mark, [][]byte{data[:cut], data[cut:]})
		require.Equal(t, string(data), strings.Join(texts, string(mark))+held, "nothing is lost")
		require.Equal(t, bytes.Count(data, mark), len(texts)-1)
	})
}

func FuzzParseReport(f *testing.F) {
	f.Add([]byte(`{"status":1}`))
	f.Add([]byte(`{"result":{"text/plain":"x"},"main":true}`))
	f.Add([]byte(`{"end":true,"error":{"name":"E"}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		one, ok := parseReport(line)
		require.Equal(t, ok, one.event != nil || one.end != nil)
	})
}
