package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// statusMark begins the line on the console that tells how the suite ended.
const statusMark = "wrenn-lab-status "

// console reads what a host prints.
type console struct {
	output io.Writer
	heard  func()   // called at each line
	status string   // of the suite; empty until it has ended
	last   []string // lines
}

// keptLines is how much of a console an error shows.
const keptLines = 40

// follow copies lines to the output until the host has told its status, and reads on
// until the console ends.
func (c *console) follow(from io.Reader) error {
	lines := bufio.NewScanner(from)
	const longestLine = 1 << 20
	lines.Buffer(nil, longestLine)
	for lines.Scan() {
		c.heard()
		line := strings.TrimRight(lines.Text(), "\r")
		c.last = append(c.last, line)
		c.last = c.last[max(0, len(c.last)-keptLines):]
		if status, found := strings.CutPrefix(line, statusMark); found {
			c.status = status
			continue
		}
		if c.status != "" {
			continue // the kernel's
		}
		if _, err := fmt.Fprintln(c.output, line); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (c *console) end() string { return strings.Join(c.last, "\n") }
