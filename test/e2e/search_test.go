package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// needle is a text in one of the forms in which it could be written down.
type needle struct {
	name    string
	pattern []byte
}

// search looks for texts in files of any size, in one pass.
type search struct {
	needles []needle
	starts  map[[2]byte][]needle
	longest int
}

// newSearch is one for texts by their names: as they are, in hexadecimal digits, as
// part of a URL, and in base64 wherever they begin in what is encoded.
func newSearch(t *testing.T, texts map[string]string) *search {
	t.Helper()
	s := &search{starts: map[[2]byte][]needle{}}
	for name, text := range texts {
		require.Greater(t, len(text), 15, "%s is too short to be looked for", name)
		s.add(name, text)
		s.add(name+", in a URL", url.QueryEscape(text))
		s.add(name+", in hexadecimal", hex.EncodeToString([]byte(text)))
		s.add(name+", in HEXADECIMAL", strings.ToUpper(hex.EncodeToString([]byte(text))))
		for before := range 3 {
			padded := append(make([]byte, before), text...)
			padded = padded[:len(padded)/3*3]
			// The first digits depend on what stands before, too.
			skip := []int{0, 2, 3}[before]
			s.add(name+", in base64", base64.StdEncoding.EncodeToString(padded)[skip:])
			s.add(name+", in base64 for URLs", base64.URLEncoding.EncodeToString(padded)[skip:])
		}
	}
	return s
}

func (s *search) add(name, pattern string) {
	for _, known := range s.needles {
		if string(known.pattern) == pattern {
			return
		}
	}
	added := needle{name, []byte(pattern)}
	start := [2]byte(added.pattern)
	s.needles, s.starts[start] = append(s.needles, added), append(s.starts[start], added)
	s.longest = max(s.longest, len(pattern))
}

// in returns the names of the forms that a file holds, sorted.
func (s *search) in(t *testing.T, path string) []string {
	t.Helper()
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	found := map[string]bool{}
	const block = 4 << 20
	buffer := make([]byte, block)
	for offset := int64(0); ; {
		// What was never written is full of zeros, and is skipped.
		offset, err = unix.Seek(int(file.Fd()), offset, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break
		}
		require.NoError(t, err)
		read, err := file.ReadAt(buffer, offset)
		if !errors.Is(err, io.EOF) {
			require.NoError(t, err)
		}
		s.inBlock(buffer[:read], found)
		if read < block {
			break
		}
		offset += int64(read - s.longest)
	}
	names := make([]string, 0, len(found))
	for name := range found {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (s *search) inBlock(block []byte, found map[string]bool) {
	var starts [1 << 16]bool
	for start := range s.starts {
		starts[int(start[0])<<8|int(start[1])] = true
	}
	for i := range len(block) - 1 {
		if !starts[int(block[i])<<8|int(block[i+1])] {
			continue
		}
		for _, candidate := range s.starts[[2]byte(block[i:])] {
			if bytes.HasPrefix(block[i:], candidate.pattern) {
				found[candidate.name] = true
			}
		}
	}
}

func TestSearch_FindsEveryFormAcrossBlocks(t *testing.T) {
	const text = "a-credential/of the~edge+0123456789"
	for name, written := range map[string]string{
		"as it is":       text,
		"in hexadecimal": hex.EncodeToString([]byte(text)),
		"in HEXADECIMAL": strings.ToUpper(hex.EncodeToString([]byte(text))),
		"in a URL":       url.QueryEscape(text),
		"in base64":      base64.StdEncoding.EncodeToString([]byte("xy" + text + "z")),
	} {
		for _, at := range []int64{0, 1, 4<<20 - 7, 9 << 20} {
			path := t.TempDir() + "/file"
			file, err := os.Create(path)
			require.NoError(t, err)
			require.NoError(t, file.Truncate(10<<20))
			_, err = file.WriteAt([]byte(written), at)
			require.NoError(t, err)
			require.NoError(t, file.Close())
			require.NotEmpty(t, newSearch(t, map[string]string{"it": text}).in(t, path), "%s at %d", name, at)
			require.Empty(t, newSearch(t, map[string]string{"it": strings.ToUpper(text)}).in(t, path), "%s at %d", name, at)
		}
	}
}
