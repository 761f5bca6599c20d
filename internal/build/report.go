package build

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/build/buildlog"
	"git.omukk.dev/wrenn/sandbox/internal/build/plan"
)

// Names of what is no step of the client's.
const (
	stepBase     = "base"
	stepFinalize = "finalize"
)

// maxLastLines is how much of a step's output a failure shows.
const maxLastLines = 30

// entries is the part of a log that a step writes.
type entries interface {
	Add(level buildlog.Level, step, text string)
	SetStep(state buildlog.StepState)
}

// report is what a step tells: its state, and its output as log entries.
type report struct {
	log    entries
	step   string
	prefix string // empty for none
	began  time.Time
	// quiet: the output is no part of the log.
	quiet bool

	mutex sync.Mutex
	last  []string // the end of the output
}

// report makes a report. announce or cached comes first, done last.
func (a *attempt) report(step, prefix string) *report {
	return &report{log: a.log, step: step, prefix: prefix, began: time.Now()}
}

// stepReport is the report of the client's next step.
func (a *attempt) stepReport(step plan.Step) *report {
	a.began++
	return a.report(step.Name, a.prefixNumber(a.began))
}

func (a *attempt) prefixNumber(number int) string {
	return fmt.Sprintf("builder %d/%d", number, a.steps)
}

// prefixOf is the prefix of a step's entries.
func (a *attempt) prefixOf(name string) string {
	number := 0
	for i, needed := range a.request.Needed() {
		if !needed {
			continue
		}
		for _, step := range a.request.Stages[i].Steps {
			if number++; step.Name == name {
				return a.prefixNumber(number)
			}
		}
	}
	return name
}

// announce says that the step is run.
func (r *report) announce(text string) {
	r.log.Add(buildlog.Info, r.step, fmt.Sprintf("[%s] %s", r.prefix, r.line(text)))
	r.log.SetStep(buildlog.StepState{Step: r.step, BeganAt: r.began})
}

// cached says that the step's result was in the cache.
func (r *report) cached(text string) {
	r.log.Add(buildlog.Info, r.step, fmt.Sprintf("CACHED [%s] %s", r.prefix, r.line(text)))
	r.log.SetStep(buildlog.StepState{Step: r.step, BeganAt: r.began, EndedAt: time.Now(), Cached: true})
}

// done says that the step has ended.
func (r *report) done(layerBytes int64) {
	r.log.SetStep(buildlog.StepState{Step: r.step, BeganAt: r.began, EndedAt: time.Now(), LayerBytes: layerBytes})
}

func (r *report) say(text string) {
	text = r.line(text)
	if r.prefix != "" {
		text = fmt.Sprintf("[%s] %s", r.prefix, text)
	}
	r.log.Add(buildlog.Info, r.step, text)
}

// line makes a text of a client one line.
func (r *report) line(text string) string {
	var lines []string
	split := buildlog.NewLines(nil, func(line string) { lines = append(lines, line) })
	_, _ = split.Write([]byte(text))
	split.Close()
	switch len(lines) {
	case 0:
		return ""
	case 1:
		return lines[0]
	default:
		return lines[0] + " …"
	}
}

func (r *report) keep(line string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.last = append(r.last, line)
	if excess := len(r.last) - maxLastLines; excess > 0 {
		r.last = append(r.last[:0], r.last[excess:]...)
	}
}

// lastLines are the end of the output.
func (r *report) lastLines() []string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return slices.Clone(r.last)
}

// streams are the two outputs of a command in the guest, as log entries. close ends them.
func (r *report) streams(secrets [][]byte) (stdout, stderr *buildlog.Lines) {
	entry := func(level buildlog.Level, name string) func(string) {
		return func(line string) {
			r.keep(line)
			if r.quiet {
				return
			}
			r.log.Add(level, r.step, fmt.Sprintf("[%s] [%s]: %s", r.prefix, name, line))
		}
	}
	return buildlog.NewLines(secrets, entry(buildlog.Info, "stdout")), buildlog.NewLines(secrets, entry(buildlog.Warn, "stderr"))
}
