package guest

import (
	"context"
	"strings"
	"time"
)

// console is a machine that keeps what its guest prints on its serial console. What was
// read is gone from it.
type console interface {
	Console(ctx context.Context) (string, error)
}

const (
	// consoleEvery is how often it is read: the first program ends the machine some seconds
	// after it has said why it does not boot.
	consoleEvery = time.Second
	// maxConsoleBytes is more than a boot prints.
	maxConsoleBytes = 64 << 10
)

// BootError is returned for a guest that did not boot.
type BootError struct {
	// Words are what its kernel or first program has said about it on the console; empty
	// for nothing. They come from the guest.
	Words string
	// Cause is what the host has seen.
	Cause error
}

// Error says what happened, and what the guest says.
func (e *BootError) Error() string {
	if e.Words == "" {
		return e.Cause.Error()
	}
	return e.Cause.Error() + ": the guest says: " + e.Words
}

// Unwrap returns the cause.
func (e *BootError) Unwrap() error { return e.Cause }

// listen reads the console of a guest that boots until heard is called, which returns all.
func (g *Guest) listen(ctx context.Context) (heard func() string) {
	speaks, can := g.machine.(console)
	if !can {
		return func() string { return "" }
	}
	ctx, cancel := context.WithCancel(ctx)
	said := make(chan string, 1)
	go func() {
		var text strings.Builder
		again := time.NewTicker(consoleEvery)
		defer again.Stop()
		for {
			select {
			case <-ctx.Done():
				said <- text.String()
				return
			case <-again.C:
			}
			if more, err := speaks.Console(ctx); err == nil && text.Len() < maxConsoleBytes {
				text.WriteString(more)
			}
		}
	}()
	return func() string { cancel(); return <-said }
}

// lastWords are what a console says about a boot that failed.
func lastWords(console string) string {
	var words []string
	for line := range strings.Lines(console) {
		line = strings.TrimSpace(line)
		if said, ours := strings.CutPrefix(line, "wrenn: "); ours {
			words = append(words, said)
		} else if _, panicked, found := strings.Cut(line, "Kernel panic - not syncing: "); found {
			words = append(words, "kernel panic: "+panicked)
		}
	}
	const most, mostBytes = 3, 1 << 10
	joined := strings.Join(words[max(0, len(words)-most):], "; ")
	return strings.ToValidUTF8(joined[:min(len(joined), mostBytes)], "")
}
