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

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
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
		got, err := call(ctx, w.agent.peace, w.agent.GetSandbox, &pb.GetSandboxRequest{SandboxId: id})
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
	err := w.agent.peace.eventually(ctx, callTimeout, 20*time.Millisecond, func() error {
		state, err := w.settled(ctx, b.id)
		if err != nil {
			return fmt.Errorf("sandbox %s is lost: %w", b.id, err)
		}
		if state == pb.SandboxState_SANDBOX_STATE_RUNNING {
			return nil
		}
		_, err = call(ctx, w.agent.peace, w.agent.ResumeSandbox, &pb.ResumeSandboxRequest{SandboxId: b.id, Identity: w.identity(b.id), RequestId: w.newRequest()})
		if fatal := w.tolerate(err); fatal != nil {
			return fmt.Errorf("resume %s: %w", b.id, fatal)
		}
		return again(errors.Join(fmt.Errorf("it was %s", state), err))
	})
	if err != nil {
		return fmt.Errorf("make sandbox %s run: %w", b.id, err)
	}
	return nil
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
func (w *worker) shell(ctx context.Context, b *box, script string) (output string, err error) {
	err = w.agent.peace.eventually(ctx, shellPatience, 100*time.Millisecond, func() error {
		if err := w.awake(ctx, b); err != nil {
			return err
		}
		var err error
		output, err = w.agent.shell(ctx, b.id, script)
		var unclean *uncleanError
		if err == nil || errors.As(err, &unclean) {
			return err
		}
		w.count("commands cut")
		return again(err)
	})
	if err != nil {
		return "", fmt.Errorf("run a command in %s: %w", b.id, err)
	}
	return output, nil
}

// shellPatience is how long commands may be cut short again and again.
const shellPatience = 2 * time.Minute

// readBootID shows the kernel's own ID of its boot: the one that programs see is
// another after each resume.
const readBootID = "sudo cat /run/wrenn/proc/sys/kernel/random/boot_id"

// verify looks for everything that was acknowledged.
func (w *worker) verify(ctx context.Context, b *box) error {
	names := slices.Sorted(maps.Keys(b.files))
	script := readBootID + "; cat /dev/shm/memory 2>/dev/null || echo none"
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
		"ss -Hltn src 127.0.0.1:%[1]d | grep -q . || (cd /tmp && nohup python3 -m http.server %[1]d --bind 127.0.0.1 >/dev/null 2>&1 &); echo %[2]s > /dev/shm/memory; %[3]s",
		serverPort, value, readBootID))
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
	client := &http.Client{Transport: toGuest{b.id, serverPort, w.agent.traffic.Transport}, Timeout: 5 * time.Second}
	err := w.agent.peace.eventually(ctx, awayTimeout, 200*time.Millisecond, func() error {
		if err := w.verify(ctx, b); err != nil { // it starts the server where there is none
			return err
		}
		response, err := client.Get("http://guest/")
		if err != nil {
			return again(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return again(errors.New(response.Status))
		}
		return nil
	})
	var exhausted *exhaustedError
	if errors.As(err, &exhausted) {
		return fmt.Errorf("reach the server in %s: %w%s", b.id, err, w.look(b))
	}
	return err
}

// look tells what there is of the server in a box, for the error that says that
// it is not reached.
func (w *worker) look(b *box) string {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	seen, err := w.agent.shell(ctx, b.id, "ss -Htlnp; ps -eo pid,ppid,stat,args | grep -E 'socat|http.server|envd'; sudo tail -n 20 /run/envd/log; df -h / /tmp; uptime")
	return fmt.Sprintf("; in it (%v):\n%s", err, seen)
}
