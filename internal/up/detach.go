package up

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
	"git.omukk.dev/wrenn/sandbox/internal/doctor"
)

// detachedVariable is set for a process in the background: its output is a log, and
// the foreground process prints how to use Wrenn.
const detachedVariable = "WRENN_DETACHED"

// Detach starts Wrenn in a session of its own, prints its output until it is ready, and
// leaves it running.
func Detach(ctx context.Context, config Config) error {
	layout, err := config.openDataDir(ctx)
	if err != nil {
		return err
	}
	pid, err := layout.runningPID()
	if err != nil {
		return err
	}
	if pid != 0 {
		gone, err := config.joinRunning(ctx, layout, &terminal{out: config.Out})
		if err != nil || !gone {
			return err
		}
	}
	// The background process checks too, but its output is a log.
	if err := doctor.Require(ctx, config.Checks()); err != nil {
		return err
	}
	d, err := layout.launch(config)
	if err != nil {
		return err
	}
	if err := errors.Join(d.follow(ctx), d.log.Close()); err != nil {
		return err
	}
	running, ready, err := layout.readInstance(d.pid)
	if err != nil || !ready {
		return err
	}
	return (&terminal{out: config.Out}).showUse(ctx, layout, running)
}

// detached is a background process whose start is being watched.
type detached struct {
	layout Layout
	pid    int
	log    *os.File // at the offset where this start's output begins
	output *lines
	// failure is the error that it printed, without the prefix.
	failure string
}

// launch starts the background process with its output in a log.
func (l Layout) launch(config Config) (*detached, error) {
	if err := os.MkdirAll(l.logs(), 0o755); err != nil {
		return nil, fmt.Errorf("make the log directory: %w", err)
	}
	out, err := openLog(l.log("wrenn"))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	log, err := os.Open(l.log("wrenn"))
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	if _, err := log.Seek(0, io.SeekEnd); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	program, err := os.Executable()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("find this program: %w", err), log.Close())
	}
	command := exec.Command(program, config.arguments()...)
	command.Dir = "/"
	command.Env = append(os.Environ(), "WRENN_ENVD="+config.EnvdPath, "WRENN_CACHE_DIR="+config.CacheDir, detachedVariable+"=1")
	command.Stdout, command.Stderr = out, out
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start in the background: %w", err), log.Close())
	}
	d := &detached{layout: l, pid: command.Process.Pid, log: log}
	d.output = &lines{say: func(line string) {
		if failure, found := strings.CutPrefix(line, cli.ErrorPrefix); found {
			d.failure = failure
			return
		}
		fmt.Fprintln(config.Out, line)
	}}
	return d, nil
}

// arguments are those of the `wrenn up` that a Config describes.
func (c *Config) arguments() []string {
	arguments := []string{"up", "--data-dir", c.DataDir}
	if c.Listen != "" {
		arguments = append(arguments, "--listen", c.Listen)
	}
	if c.Domain != "" {
		arguments = append(arguments, "--domain", c.Domain)
	}
	return arguments
}

// follow prints the output until Wrenn is ready or has ended. If ctx ends first, it
// tells Wrenn to stop.
func (d *detached) follow(ctx context.Context) error {
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	interrupted := ctx.Done()
	for {
		var status unix.WaitStatus
		ended, err := unix.Wait4(d.pid, &status, unix.WNOHANG, nil)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("watch the background process: %w", err)
		}
		_, ready, err := d.layout.readInstance(d.pid)
		if err != nil {
			return err
		}
		if _, err := io.Copy(d.output, d.log); err != nil {
			return fmt.Errorf("read %s: %w", d.log.Name(), err)
		}
		switch {
		case ended == d.pid && d.failure != "":
			return errors.New(d.failure)
		case ended == d.pid:
			return fmt.Errorf("it ended before it was ready; see %s", d.log.Name())
		case ready && interrupted != nil:
			return nil
		}
		select {
		case <-interrupted:
			interrupted = nil
			if err := unix.Kill(d.pid, unix.SIGTERM); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("stop the background process: %w", err)
			}
		case <-poll.C:
		}
	}
}
