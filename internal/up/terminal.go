package up

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// terminal prints whole lines, from several goroutines.
type terminal struct {
	mu  sync.Mutex
	out io.Writer
}

// Say prints a line.
func (t *terminal) Say(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintln(t.out, line)
}

// step prints that a step is done and how long it took.
func (t *terminal) step(name, detail string, since time.Time) {
	took := time.Since(since).Round(time.Millisecond)
	if took > 10*time.Second {
		took = took.Round(100 * time.Millisecond)
	}
	t.Say(strings.TrimRight(fmt.Sprintf("  ok  %-16s %8s  %s", name, took, detail), " "))
}

// detail prints the progress of a step.
func (t *terminal) detail(name, line string) {
	t.Say(fmt.Sprintf("      %s: %s", name, line))
}

// lines calls say with each line of a child's output.
type lines struct {
	say  func(string)
	rest []byte
}

// Write is called by one goroutine, of os/exec.
func (l *lines) Write(data []byte) (int, error) {
	l.rest = append(l.rest, data...)
	for {
		line, rest, found := bytes.Cut(l.rest, []byte("\n"))
		if !found {
			return len(data), nil
		}
		l.say(string(line))
		l.rest = rest
	}
}
