package mail

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
)

// Console writes messages instead of sending them. They contain links that sign people
// in, so the output must be readable by the operator only.
type Console struct {
	mutex sync.Mutex
	out   io.Writer
}

// NewConsole makes a mailer that writes to out.
func NewConsole(out io.Writer) *Console { return &Console{out: out} }

// Send writes the message.
func (c *Console) Send(_ context.Context, message Message) error {
	message, err := clean(message)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("--- mail to %s: %s\n%s\n---\n",
		strings.Join(message.To, ", "), message.Subject, strings.TrimRight(message.Text, "\n"))
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if _, err := io.WriteString(c.out, text); err != nil {
		return fmt.Errorf("show mail: %w", err)
	}
	return nil
}
