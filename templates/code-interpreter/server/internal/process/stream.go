package process

import (
	"bytes"
	"context"
	"io"
	"time"
	"unicode/utf8"

	"git.omukk.dev/wrenn/sandbox/templates/code-interpreter/server/internal/kernel"
)

// largestPiece is the most that one Output has.
const largestPiece = 32 << 10

// signal is what a reader of a child's file tells the kernel.
type signal struct {
	event kernel.Event
	// marked is true where a stream came to the mark of a run's end.
	marked bool
	// end is the child's own word that the code has ended, with an error or without.
	end *ended
}

type ended struct{ failure *kernel.Failure }

// splitter cuts what a child writes to a stream into pieces of text, and finds the mark
// that ends a run: a NUL, the run's token, and a NUL.
type splitter struct {
	mark []byte
	held []byte
}

// markOf is the mark of a run's end for a token.
func markOf(token string) []byte { return []byte("\x00" + token + "\x00") }

// feed takes what was read and returns text that is complete, and whether the mark came.
// What follows a mark belongs to the next run.
func (s *splitter) feed(data []byte) (text []byte, marked bool) {
	s.held = append(s.held, data...)
	if before, after, found := bytes.Cut(s.held, s.mark); found && len(s.mark) > 0 {
		text, s.held = bytes.Clone(before), bytes.Clone(after)
		return text, true
	}
	keep := s.unfinished()
	text = bytes.Clone(s.held[:len(s.held)-keep])
	s.held = bytes.Clone(s.held[len(s.held)-keep:])
	return text, false
}

// unfinished is how many bytes at the end could become a mark, or one character.
func (s *splitter) unfinished() int {
	for size := min(len(s.mark)-1, len(s.held)); size > 0; size-- {
		if bytes.HasPrefix(s.mark, s.held[len(s.held)-size:]) {
			return size
		}
	}
	for size := 1; size < utf8.UTFMax && size <= len(s.held); size++ {
		if last := s.held[len(s.held)-size:]; utf8.RuneStart(last[0]) {
			if utf8.FullRune(last) {
				return 0
			}
			return size
		}
	}
	return 0
}

// readStream passes on what a child writes to one of its streams until it ends. tokens
// has the token of the run that is to come, put there before the run begins.
func readStream(ctx context.Context, from io.Reader, stderr bool, token func() string, to chan<- signal) {
	buffer := make([]byte, largestPiece)
	var s splitter
	send := func(one signal) bool {
		select {
		case to <- one:
			return true
		case <-ctx.Done():
			return false
		}
	}
	for {
		n, err := from.Read(buffer)
		s.mark = markOf(token())
		text, marked := s.feed(buffer[:n])
		if err != nil {
			text, s.held = append(text, s.held...), nil
		}
		if len(text) > 0 && !send(signal{event: kernel.Output{Stderr: stderr, Text: string(bytes.ToValidUTF8(text, []byte("\uFFFD"))), At: time.Now()}}) {
			return
		}
		if marked && !send(signal{marked: true}) {
			return
		}
		if err != nil {
			return
		}
	}
}
