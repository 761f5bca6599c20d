// Package process runs code in interpreters that have no kernel of Jupyter's in Debian:
// bash, and Node.js for JavaScript and TypeScript. A kernel is one process, which keeps
// its state; what it prints comes through pipes, and a mark in each tells where a run
// ended.
package process

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"git.omukk.dev/wrenn/sandbox/templates/code-interpreter/server/internal/kernel"
)

// interpreter is what differs between the languages.
type interpreter interface {
	// command makes the process. Its commands come from file 3, its reports go to file 4.
	command() *exec.Cmd
	// encode makes the command that runs code and then writes the mark for token.
	encode(run kernel.Run, token string) ([]byte, error)
	// interrupt ends the code that runs, but not the process.
	interrupt(process *os.Process, commands io.Writer) error
}

// startupTime is how long an interpreter may take to run its first code.
const startupTime = 2 * time.Minute

// largestReport bounds one report of a child, a value of JavaScript for example.
const largestReport = 32 << 20

// processKernel is an interpreter's process. Its methods are called one at a time.
type processKernel struct {
	language  string
	directory string
	of        interpreter
	child     *child // nil when none runs
	count     int
}

// Interpreters starts interpreters.
type Interpreters struct{ driver string }

// New writes what interpreters need into a directory.
func New(directory string) (*Interpreters, error) {
	i := &Interpreters{driver: filepath.Join(directory, "node.js")}
	if err := os.WriteFile(i.driver, []byte(nodeDriver), 0o644); err != nil {
		return nil, fmt.Errorf("write the driver of node: %w", err)
	}
	return i, nil
}

// Start starts an interpreter of a language in a directory.
func (i *Interpreters) Start(language, directory string) (kernel.Kernel, error) {
	var of interpreter
	switch language {
	case "bash":
		of = bash{}
	case "javascript", "typescript":
		of = node{language: language, driver: i.driver}
	default:
		return nil, fmt.Errorf("no interpreter for %s", language)
	}
	k := &processKernel{language: language, directory: directory, of: of}
	return k, k.start()
}

// Languages are those whose interpreters are installed.
func (*Interpreters) Languages() []string {
	var found []string
	if _, err := exec.LookPath("bash"); err == nil {
		found = append(found, "bash")
	}
	if _, err := exec.LookPath("node"); err == nil {
		found = append(found, "javascript")
		if hasTypeScript() {
			found = append(found, "typescript")
		}
	}
	return found
}

// child is one process with what reads from it.
type child struct {
	command  *exec.Cmd
	commands *os.File
	signals  chan signal
	cancel   context.CancelFunc
	exited   chan struct{} // closed when the process has ended and was waited for
	readers  sync.WaitGroup

	mu    sync.Mutex
	token string
}

func (c *child) currentToken() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.token
}

func (c *child) setToken(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.token = token
}

func (k *processKernel) start() error {
	command := k.of.command()
	command.Dir = k.directory
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var ours, theirs []*os.File
	fail := func(err error) error {
		for _, file := range append(ours, theirs...) {
			file.Close()
		}
		return fmt.Errorf("start %s: %w", k.language, err)
	}
	// Standard output, standard error, commands and reports.
	for i := range 4 {
		reader, writer, err := os.Pipe()
		if err != nil {
			return fail(err)
		}
		if i == 2 {
			reader, writer = writer, reader // the parent writes commands
		}
		ours, theirs = append(ours, reader), append(theirs, writer)
	}
	command.Stdout, command.Stderr = theirs[0], theirs[1]
	command.ExtraFiles = theirs[2:]
	if err := command.Start(); err != nil {
		return fail(err)
	}
	for _, file := range theirs {
		file.Close()
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &child{command: command, commands: ours[2], signals: make(chan signal, 64), cancel: cancel, exited: make(chan struct{})}
	c.readers.Go(func() { readStream(ctx, ours[0], false, c.currentToken, c.signals) })
	c.readers.Go(func() { readStream(ctx, ours[1], true, c.currentToken, c.signals) })
	c.readers.Go(func() { readReports(ctx, ours[3], c.signals) })
	go func() {
		defer close(c.exited)
		_ = command.Wait() // how it ended makes no difference: its state is lost
		// What it left running may hold its pipes open.
		for _, file := range ours {
			file.Close()
		}
	}()
	k.child, k.count = c, 0
	return nil
}

// end kills the child with its process group and waits for everything of it.
func (k *processKernel) end() {
	if k.child == nil {
		return
	}
	_ = syscall.Kill(-k.child.command.Process.Pid, syscall.SIGKILL) // gone is what it should be
	k.child.cancel()
	<-k.child.exited
	k.child.readers.Wait()
	k.child = nil
}

// Execute runs code.
func (k *processKernel) Execute(ctx context.Context, run kernel.Run, emit kernel.Emit) error {
	if k.child == nil {
		if err := k.start(); err != nil {
			return err
		}
	}
	c, token := k.child, rand.Text()
	data, err := k.of.encode(run, token)
	if err != nil {
		return emit(kernel.Failure{Name: "InvalidCode", Value: err.Error()})
	}
	c.setToken(token)
	if !run.Silent {
		k.count++
		if err := emit(kernel.Count{N: k.count}); err != nil {
			return err
		}
	}
	// A child that does not read its commands must not hold this up.
	if err := c.commands.SetWriteDeadline(time.Now().Add(startupTime)); err != nil {
		return fmt.Errorf("send code to %s: %w", k.language, err)
	}
	if _, err := c.commands.Write(data); err != nil {
		k.end()
		return errors.Join(kernel.ErrGone, err)
	}
	follow := follower{child: c, emit: emit, silent: run.Silent}
	err = follow.until(ctx)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kernel.ErrGone):
		k.end()
		return err
	}
	if errors.Is(context.Cause(ctx), kernel.ErrAbandoned) {
		return err
	}
	return errors.Join(err, k.interrupt(ctx, &follow))
}

func (k *processKernel) interrupt(ctx context.Context, of *follower) error {
	of.emit = func(kernel.Event) error { return nil }
	interrupt := func(context.Context) error { return k.of.interrupt(k.child.command.Process, k.child.commands) }
	if err := kernel.Interrupt(ctx, interrupt, of.until); err != nil {
		// Without its mark the child's next output could not be told from this one's.
		k.end()
		return fmt.Errorf("%s took no interrupt and was ended: %w", k.language, err)
	}
	return nil
}

// Restart ends the process and starts another.
func (k *processKernel) Restart(context.Context) error {
	k.end()
	return k.start()
}

// Close ends the process.
func (k *processKernel) Close(context.Context) error {
	k.end()
	return nil
}

// follower passes on what a child does until its run has ended: until both streams came
// to their mark and the child said so too.
type follower struct {
	child  *child
	emit   kernel.Emit
	silent bool
	marks  int
	ended  *ended
}

func (f *follower) until(ctx context.Context) error {
	for f.marks < 2 || f.ended == nil {
		var next signal
		select {
		case next = <-f.child.signals:
		case <-f.child.exited:
			select {
			case next = <-f.child.signals: // what it said last
			default:
				return kernel.ErrGone
			}
		case <-ctx.Done():
			return ctx.Err()
		}
		switch {
		case next.marked:
			f.marks++
		case next.end != nil:
			f.ended = next.end
		case next.event != nil && !f.silent:
			if err := f.emit(next.event); err != nil {
				return err
			}
		}
	}
	if failure := f.ended.failure; failure != nil {
		return f.emit(*failure)
	}
	return nil
}

// report is a line that a child writes to file 4.
type report struct {
	Result map[string]json.RawMessage `json:"result"`
	Main   bool                       `json:"main"`
	// Status is the exit status of bash's code.
	Status *int         `json:"status"`
	Error  *failureLine `json:"error"`
	End    bool         `json:"end"`
}

type failureLine struct {
	Name      string `json:"name"`
	Value     string `json:"value"`
	Traceback string `json:"traceback"`
}

// parseReport reads a line of a child. Code can write to its file 4 too: what is no
// report is left out.
func parseReport(line []byte) (signal, bool) {
	var read report
	if err := json.Unmarshal(line, &read); err != nil {
		return signal{}, false
	}
	switch {
	case read.Result != nil:
		return signal{event: kernel.Result{Main: read.Main, Data: read.Result}}, true
	case read.Status != nil && *read.Status != 0:
		return signal{end: &ended{failure: &kernel.Failure{Name: "ExitStatus", Value: fmt.Sprint(*read.Status)}}}, true
	case read.End && read.Error != nil:
		return signal{end: &ended{failure: &kernel.Failure{Name: read.Error.Name, Value: read.Error.Value, Traceback: read.Error.Traceback}}}, true
	case read.End, read.Status != nil:
		return signal{end: &ended{}}, true
	}
	return signal{}, false
}

func readReports(ctx context.Context, from io.Reader, to chan<- signal) {
	scanner := bufio.NewScanner(from)
	scanner.Buffer(nil, largestReport)
	for scanner.Scan() {
		one, ok := parseReport(scanner.Bytes())
		if !ok {
			continue
		}
		select {
		case to <- one:
		case <-ctx.Done():
			return
		}
	}
}
