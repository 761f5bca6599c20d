package chaos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent"
)

// box is a sandbox and what is known of it: whatever was acknowledged must be
// true ever after.
type box struct {
	id     string
	files  map[string]string // by name; written and synced
	unsure map[string]bool   // written perhaps
	memory string            // what is in its memory as long as it is not booted again
	boot   string            // the life that memory belongs to
	deaths int               // VMMs killed when that life began
}

// settled asks until nobody works on the sandbox.
func (w *worker) settled(ctx context.Context, id string) (pb.SandboxState, error) {
	for deadline := time.Now().Add(callTimeout); time.Now().Before(deadline); {
		got, err := call(ctx, w.agent.GetSandbox, &pb.GetSandboxRequest{SandboxId: id})
		if err != nil {
			return 0, err
		}
		switch state := got.GetSandbox().GetState(); state {
		case pb.SandboxState_SANDBOX_STATE_RUNNING, pb.SandboxState_SANDBOX_STATE_PAUSED:
			return state, nil
		case pb.SandboxState_SANDBOX_STATE_FAILED:
			if !w.killer.fills { // else it waits for room
				return 0, fmt.Errorf("sandbox %s failed: %s", id, got.GetSandbox().GetReason())
			}
		}
		<-time.After(50 * time.Millisecond)
	}
	return 0, fmt.Errorf("sandbox %s settles in no state", id)
}

// awake makes a sandbox run, whatever became of it.
func (w *worker) awake(ctx context.Context, b *box) error {
	for deadline := time.Now().Add(callTimeout); ctx.Err() == nil; <-time.After(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("sandbox %s does not run for %s", b.id, callTimeout)
		}
		state, err := w.settled(ctx, b.id)
		if err != nil {
			return fmt.Errorf("sandbox %s is lost: %w", b.id, err)
		}
		if state == pb.SandboxState_SANDBOX_STATE_RUNNING {
			return nil
		}
		_, err = call(ctx, w.agent.ResumeSandbox, &pb.ResumeSandboxRequest{SandboxId: b.id, Identity: w.identity(b.id), RequestId: w.newRequest()})
		if err := w.tolerate(err); err != nil {
			return fmt.Errorf("resume %s: %w", b.id, err)
		}
	}
	return ctx.Err()
}

// tolerate lets refusals pass that a death explains.
func (w *worker) tolerate(err error) error {
	var unclean *uncleanError
	var refused *connect.Error
	if err == nil || errors.As(err, &unclean) || !errors.As(err, &refused) || refused.Code() == connect.CodeNotFound {
		return err
	}
	w.count("refused: " + refused.Code().String())
	return nil
}

// shell runs a script in the box, awake, until it once comes to its end.
func (w *worker) shell(ctx context.Context, b *box, script string) (string, error) {
	var last error
	for range maxAttempts {
		if err := w.awake(ctx, b); err != nil {
			return "", err
		}
		output, err := w.agent.shell(ctx, b.id, script)
		var unclean *uncleanError
		if err == nil || ctx.Err() != nil || errors.As(err, &unclean) {
			return output, err
		}
		last = err
		w.count("commands cut")
		<-time.After(100 * time.Millisecond)
	}
	return "", fmt.Errorf("no command comes to its end in %s: %w", b.id, last)
}

// maxAttempts is more than a killer with patience can spoil.
const maxAttempts = 40

const bootID = "/proc/sys/kernel/random/boot_id"

// verify looks for everything that was acknowledged.
func (w *worker) verify(ctx context.Context, b *box) error {
	names := slices.Sorted(maps.Keys(b.files))
	script := "cat " + bootID + "; cat /dev/shm/memory 2>/dev/null || echo none"
	for _, name := range names {
		script += "; cat /home/user/" + name + " || echo lost"
	}
	output, err := w.shell(ctx, b, script)
	if err != nil {
		return err
	}
	lines := strings.Split(output, "\n")
	if len(lines) != len(names)+2 {
		return fmt.Errorf("%s answers %d lines for %d files: %q", b.id, len(lines), len(names), output)
	}
	for i, name := range names {
		if lines[i+2] != b.files[name] {
			return fmt.Errorf("acknowledged file %s of %s holds %q, want %q", name, b.id, lines[i+2], b.files[name])
		}
	}
	deaths := w.killer.killed(b.id)
	switch {
	case b.boot == "" || lines[0] == b.boot && lines[1] == b.memory:
	case lines[0] == b.boot:
		return fmt.Errorf("memory of %s holds %q, want %q", b.id, lines[1], b.memory)
	case deaths == b.deaths:
		return fmt.Errorf("%s was booted again though nobody killed its VM", b.id)
	default:
		w.count("lives lost with a VMM")
	}
	return w.remember(ctx, b, lines[0], deaths)
}

// remember puts something into the box's memory, and a server behind a socat.
func (w *worker) remember(ctx context.Context, b *box, boot string, deaths int) error {
	value := fmt.Sprintf("memory-%d", w.random.Int64())
	b.boot = "" // until it is known which value is there
	output, err := w.shell(ctx, b, fmt.Sprintf(
		"ss -Hltn src 127.0.0.1:%[1]d | grep -q . || (cd /tmp && nohup python3 -m http.server %[1]d --bind 127.0.0.1 >/dev/null 2>&1 &); echo %[2]s > /dev/shm/memory; cat %[3]s",
		serverPort, value, bootID))
	if err != nil {
		return err
	}
	b.memory, b.boot, b.deaths = value, boot, deaths
	if output != boot { // it died in between: nothing is known of this life
		b.boot = ""
	}
	return nil
}

// write adds a file and has it synced.
func (w *worker) write(ctx context.Context, b *box) error {
	name, value := fmt.Sprintf("file-%d", len(b.files)+len(b.unsure)), fmt.Sprintf("value-%d", w.random.Int64())
	if err := w.awake(ctx, b); err != nil {
		return err
	}
	_, err := w.agent.shell(ctx, b.id, fmt.Sprintf("cd /home/user && echo %s > %s && sync %s .", value, name, name))
	var unclean *uncleanError
	if errors.As(err, &unclean) {
		return err
	}
	if err != nil {
		b.unsure[name] = true
		return nil
	}
	b.files[name] = value
	return nil
}

// reach waits until the server in the box answers through its socat.
func (w *worker) reach(ctx context.Context, b *box) error {
	if err := w.verify(ctx, b); err != nil {
		return err
	}
	client := &http.Client{Transport: toGuest{b.id, serverPort, w.agent.traffic.Transport}, Timeout: 5 * time.Second}
	for deadline := time.Now().Add(awayTimeout); time.Now().Before(deadline) && ctx.Err() == nil; {
		response, err := client.Get("http://guest/")
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		if err := w.verify(ctx, b); err != nil {
			return err
		}
		<-time.After(200 * time.Millisecond)
	}
	return errors.Join(ctx.Err(), fmt.Errorf("the server in %s is not reached", b.id))
}
