package build

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/build/buildlog"
	"git.omukk.dev/wrenn/sandbox/internal/build/machine"
	"git.omukk.dev/wrenn/sandbox/internal/build/plan"
	"git.omukk.dev/wrenn/sandbox/internal/envdclient"
)

const (
	// commandTimeout bounds one command of a step.
	commandTimeout = time.Hour
	// statusTimeout bounds the question why a command failed.
	statusTimeout = 10 * time.Second
	// fullDiskBytes: with less left, a command has failed for want of space.
	fullDiskBytes = 4 << 20
	// killedCode is what shells make of the signal that ends a command when memory runs
	// out: 128 and the number of SIGKILL.
	killedCode = 137
)

func (s *stage) run(ctx context.Context, report *report, run plan.Run) (_ outcome, err error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	arguments := s.context.Arguments(run)
	command := envdclient.Command{
		Path: arguments[0], Arguments: arguments[1:], User: s.context.User, Directory: s.context.Workdir, Environment: s.context.Variables(),
	}
	if run.User != "" {
		command.User = run.User
	}
	if err := setPath(ctx, s.machine, s.context.Env); err != nil {
		return outcome{}, err
	}
	secrets, err := s.mountSecrets(ctx, run, command.User)
	if err != nil {
		return outcome{}, err
	}
	maps.Copy(command.Environment, secrets.variables)
	exit, err := s.follow(ctx, report, command, secrets.values)
	if unmountErr := s.unmountSecrets(ctx, secrets); err == nil && unmountErr != nil {
		return outcome{}, unmountErr
	}
	if err != nil {
		return outcome{}, s.explainExecute(ctx, report, commandText(run), err)
	}
	if !exit.Succeeded() {
		return outcome{}, s.explainExit(ctx, report, commandText(run), exit)
	}
	if _, err := s.machine.Do(ctx, machine.Request{Settle: &struct{}{}}, nil, nil); err != nil {
		return outcome{}, err
	}
	return outcome{changed: true, context: s.context}, nil
}

// setPath makes login shells keep PATH, which /etc/profile sets to another value, in the
// build and in the template's sandboxes. Without a PATH of its own the image's is kept.
func setPath(ctx context.Context, in *machine.Machine, environment map[string]string) error {
	value, set := environment["PATH"]
	if !set {
		return nil
	}
	_, err := in.Do(ctx, machine.Request{Profile: &machine.Profile{Path: value}}, nil, nil)
	return err
}

// commandText is a command for people.
func commandText(run plan.Run) string {
	if len(run.Exec) > 0 {
		return strings.Join(run.Exec, " ")
	}
	return run.Command
}

// follow runs a command and logs its output.
func (s *stage) follow(ctx context.Context, report *report, command envdclient.Command, secrets [][]byte) (envdclient.Exit, error) {
	return followCommand(ctx, s.machine, report, command, secrets)
}

func followCommand(ctx context.Context, in *machine.Machine, report *report, command envdclient.Command, secrets [][]byte) (envdclient.Exit, error) {
	stdout, stderr := report.streams(secrets)
	exit, err := in.Execute(ctx, command, envdclient.Follower{
		Stdout: func(data []byte) { _, _ = stdout.Write(data) },
		Stderr: func(data []byte) { _, _ = stderr.Write(data) },
	})
	stdout.Close()
	stderr.Close()
	return exit, err
}

// explainExecute explains why a command could not be run to its end.
func (s *stage) explainExecute(ctx context.Context, report *report, text string, err error) error {
	var unstarted *envdclient.StartError
	switch {
	case errors.As(err, &unstarted):
		return report.failed(&Failure{
			Cause: CauseInvalidStep, Command: text, ExitCode: -1, cause: err,
			Message: fmt.Sprintf("%s could not be started: %s", quote(text), buildlog.Clean(unstarted.Error())),
		})
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return report.failed(&Failure{
			Cause: CauseTimedOut, Command: text, ExitCode: -1, cause: err,
			Message: fmt.Sprintf("%s took longer than %s and was ended", quote(text), describe(commandTimeout)),
		})
	default:
		return err
	}
}

// explainExit explains why a command failed, by what the guest's kernel says.
func (s *stage) explainExit(ctx context.Context, report *report, text string, exit envdclient.Exit) error {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	status, err := s.machine.Do(ctx, machine.Request{Status: &struct{}{}}, nil, nil)
	var failure *Failure
	switch {
	case err == nil && status.OutOfMemoryKills > s.kills, exit.Code == killedCode && err != nil:
		failure = s.outOfMemory(quote(text), nil)
	case err == nil && status.DiskFreeBytes < fullDiskBytes || report.saw("No space left on device"):
		failure = s.noSpace(quote(text), nil)
	default:
		failure = &Failure{Cause: CauseCommandFailed, Message: fmt.Sprintf("%s failed: %s", quote(text), exitText(exit))}
	}
	s.kills = status.OutOfMemoryKills
	failure.Command, failure.ExitCode = text, exit.Code
	return report.failed(failure)
}

func exitText(exit envdclient.Exit) string {
	if exit.Code >= 0 {
		return fmt.Sprintf("exit code %d", exit.Code)
	}
	return buildlog.Clean(exit.Status)
}

// maxQuoted is how much of a command a message repeats.
const maxQuoted = 200

// quote is a command in a message.
func quote(text string) string {
	first, _, cut := strings.Cut(strings.TrimSpace(text), "\n")
	first = buildlog.Clean(first)
	if runes := []rune(first); len(runes) > maxQuoted {
		first, cut = string(runes[:maxQuoted]), true
	}
	if cut {
		first += " …"
	}
	return `"` + first + `"`
}

// failed adds the end of the step's output to a failure.
func (r *report) failed(failure *Failure) error {
	failure.LastLines = r.lastLines()
	return failure
}

// saw reports whether the end of the output has a text. It decides what a failure is
// called, and nothing else.
func (r *report) saw(text string) bool {
	return slices.ContainsFunc(r.lastLines(), func(line string) bool { return strings.Contains(line, text) })
}
