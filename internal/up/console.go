package up

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/term"
)

// consoleLimit is how many bytes of messages are kept.
const consoleLimit = 1 << 20

// console takes the control plane's messages to the operator: links with tokens, and
// mails if no mail server is configured. It prints them on a terminal or keeps them in a
// file that only root can read. They are never logged.
type console struct {
	say  *terminal
	path string

	mutex   sync.Mutex
	file    *os.File
	written int
}

// Show takes one line.
func (c *console) Show(line string) {
	if c.say.interactive() {
		c.say.detail("control plane", line)
		return
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if err := c.keep(line); err != nil {
		c.say.detail("control plane", fmt.Sprintf("a message to the operator was lost: %v", err))
	}
}

func (c *console) keep(line string) error {
	if c.file == nil {
		file, err := os.OpenFile(c.path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("open %s: %w", c.path, err)
		}
		c.file = file
		c.say.detail("control plane", "messages to the operator, such as the link that makes the first admin, are in "+c.path)
	}
	if c.written += len(line) + 1; c.written > consoleLimit {
		return fmt.Errorf("%s has more than %d bytes", c.path, consoleLimit)
	}
	_, err := fmt.Fprintln(c.file, line)
	return err
}

// begin removes the messages of an earlier start.
func (c *console) begin() error {
	if err := os.Remove(c.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove old messages: %w", err)
	}
	return nil
}

func (c *console) close() error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.file == nil {
		return nil
	}
	return c.file.Close()
}

// interactive says whether the output is a terminal.
func (t *terminal) interactive() bool { return isTerminal(t.out) }

func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// showUse prints how to use a running Wrenn. The API key, a link that signs in, and
// messages that a start in the background has kept for the operator, are printed on a
// terminal only.
func (t *terminal) showUse(ctx context.Context, layout Layout, running instance) error {
	if !t.interactive() {
		t.Say(fmt.Sprintf("\nDashboard  %s (on a terminal, wrenn up --data-dir %[2]s prints a link that signs in)\n"+
			"API URL    %[1]s\nAPI key    shown by: wrenn env --data-dir %[2]s\n", running.URL, layout.DataDir))
		return nil
	}
	kept, err := os.ReadFile(layout.console())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read messages to the operator: %w", err)
	}
	if len(kept) > 0 {
		t.Say("\n" + string(kept))
	}
	key, err := layout.ReadAPIKey()
	if err != nil {
		return err
	}
	link, err := running.signInLink(ctx, layout)
	if err != nil {
		t.Say(fmt.Sprintf("no link that signs in could be made: %v", err))
	}
	t.Say(howToUse(running.URL, link, key))
	return nil
}
