package template

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
	"git.omukk.dev/wrenn/sandbox/internal/cli/apiclient"
)

// The statuses of a build.
const (
	statusReady  = "ready"
	statusFailed = "error"
)

// logEntry is one line of a build's log.
type logEntry struct {
	Timestamp time.Time `json:"timestamp"`
	Message   string    `json:"message"`
	Level     string    `json:"level"`
	Step      string    `json:"step,omitempty"`
}

// progress is the API's answer about a build.
type progress struct {
	TemplateID string     `json:"templateID"`
	BuildID    string     `json:"buildID"`
	Status     string     `json:"status"`
	LogEntries []logEntry `json:"logEntries"`
	Reason     *struct {
		Message string `json:"message"`
		Step    string `json:"step,omitempty"`
	} `json:"reason,omitempty"`
}

const (
	pollInterval = 300 * time.Millisecond
	// logPage is how many entries the API returns at once.
	logPage = 100
)

// follow prints a build's log until the build has ended, and returns its end.
func (c *commands) follow(ctx context.Context, a *apiclient.API, templateID, buildID string, to printer) (progress, error) {
	defer to.close()
	query := url.Values{"limit": {strconv.Itoa(logPage)}}
	for offset := 0; ; {
		query.Set("logsOffset", strconv.Itoa(offset))
		var now progress
		_, err := a.Call(ctx, http.MethodGet, path(templateID, "/builds/"+buildID+"/status?"+query.Encode()), nil, &now)
		if err != nil {
			return progress{}, err
		}
		for _, entry := range now.LogEntries {
			to.entry(entry)
		}
		offset += len(now.LogEntries)
		if len(now.LogEntries) == 0 && (now.Status == statusReady || now.Status == statusFailed) {
			return now, nil
		}
		if len(now.LogEntries) == logPage {
			continue
		}
		to.wait()
		select {
		case <-ctx.Done():
			return progress{}, ctx.Err()
		case <-time.After(pollInterval):
		}
	}
}

// failure is the error of a build that did not become ready.
func (p progress) failure() error {
	switch {
	case p.Status != statusFailed:
		return nil
	case p.Reason == nil:
		return errors.New("the build failed")
	case p.Reason.Step == "":
		return fmt.Errorf("the build failed: %s", p.Reason.Message)
	default:
		return fmt.Errorf("the build failed at step %s: %s", p.Reason.Step, p.Reason.Message)
	}
}

// printer shows the log of a build.
type printer interface {
	entry(entry logEntry)
	// wait is called between entries, some times a second.
	wait()
	close()
}

// newPrinter prints JSON lines, or text: with a line that shows the time, on a terminal.
func newPrinter(s cli.Streams, asJSON bool) printer {
	if asJSON {
		return &jsonPrinter{encoder: json.NewEncoder(s.Output)}
	}
	file, isFile := s.Errors.(*os.File)
	live := isFile && term.IsTerminal(int(file.Fd()))
	return &textPrinter{streams: s, live: live, began: time.Now()}
}

type jsonPrinter struct{ encoder *json.Encoder }

// entry cannot fail in a way that the next one does not: its errors are those of the
// output.
func (p *jsonPrinter) entry(entry logEntry) { _ = p.encoder.Encode(entry) }
func (p *jsonPrinter) wait()                {}
func (p *jsonPrinter) close()               {}

type textPrinter struct {
	streams cli.Streams
	// live: the last line is replaced by the time that the step takes.
	live      bool
	shown     bool
	began     time.Time
	step      string
	stepBegan time.Time
}

func (p *textPrinter) entry(entry logEntry) {
	if entry.Step != p.step {
		p.step, p.stepBegan = entry.Step, time.Now()
	}
	p.erase()
	fmt.Fprintf(p.streams.Errors, "%7.1fs %s\n", time.Since(p.began).Seconds(), printable(entry.Message))
}

func (p *textPrinter) wait() {
	if !p.live || p.step == "" {
		return
	}
	p.erase()
	fmt.Fprintf(p.streams.Errors, "%7.1fs … step %s, %.0f s", time.Since(p.began).Seconds(), p.step, time.Since(p.stepBegan).Seconds())
	p.shown = true
}

func (p *textPrinter) close() { p.erase() }

// erase removes the line that wait has written.
func (p *textPrinter) erase() {
	if p.shown {
		fmt.Fprint(p.streams.Errors, "\r\x1b[K")
		p.shown = false
	}
}

// printable replaces what would control the terminal: a guest wrote the line.
func printable(line string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '�'
		}
		return r
	}, line)
}

func (c *commands) newLogs() *cobra.Command {
	asJSON := false
	command := &cobra.Command{
		Use: "logs TEMPLATE [BUILD]", Args: cobra.RangeArgs(1, 2),
		Short:   "Print the log of a build, the newest one if none is named, and follow it until it has ended",
		Example: "  wrenn template logs my-template",
		RunE: c.run(func(ctx context.Context, a *apiclient.API, arguments []string) error {
			var found detailed
			if _, err := a.Call(ctx, http.MethodGet, path(arguments[0], ""), nil, &found); err != nil {
				return fmt.Errorf("logs of %s: %w", arguments[0], err)
			}
			var buildID string
			if len(arguments) > 1 {
				buildID = arguments[1]
			} else if len(found.Builds) > 0 {
				buildID = found.Builds[0].BuildID
			} else {
				return fmt.Errorf("%s has no builds", arguments[0])
			}
			ended, err := c.follow(ctx, a, found.TemplateID, buildID, newPrinter(c.Streams, asJSON))
			if err != nil {
				return fmt.Errorf("logs of %s: %w", arguments[0], err)
			}
			return ended.failure()
		}),
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print each entry as a line of JSON")
	return command
}
