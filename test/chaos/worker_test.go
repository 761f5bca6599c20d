package chaos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"

	"connectrpc.com/connect"
	"github.com/google/uuid"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent"
)

// worker is a client that does at random whatever clients do with sandboxes.
type worker struct {
	agent  *agent
	killer *killer
	number int
	random *rand.Rand
	made   int

	mutex  sync.Mutex
	counts map[string]int
}

func (w *worker) count(what string) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.counts[what]++
}

func (w *worker) identity(id string) *pb.Identity {
	return &pb.Identity{AccessToken: token, LifecycleId: fmt.Sprintf("%s-%d", id, w.random.Int64())}
}

func (w *worker) newID() string {
	w.made++
	return fmt.Sprintf("ichaos%02dn%011d", w.number, w.made)
}

// run works on one sandbox after the other until ctx ends or something is lost.
// What it holds then is verified and killed under a context of its own.
func (w *worker) run(ctx, finish context.Context) error {
	for ctx.Err() == nil {
		b, err := w.create(ctx, w.agent.build)
		if err != nil {
			return ignoreEnd(ctx, err)
		}
		err = w.use(ctx, b)
		if ctx.Err() != nil {
			err = nil // it was stopped in the middle of something
		}
		if err == nil {
			err = w.verify(finish, b)
		}
		if err = errors.Join(err, w.kill(finish, b.id)); err != nil {
			return err
		}
	}
	return nil
}

func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// use does things to a sandbox for a while.
func (w *worker) use(ctx context.Context, b *box) error {
	steps := []struct {
		name string
		do   func(context.Context, *box) error
	}{
		{"writes", w.write},
		{"writes", w.write},
		{"writes", w.write},
		{"looks", w.verify},
		{"servers reached", w.reach},
		{"pauses", w.pause},
		{"pauses", w.pause},
		{"snapshots", w.snapshot},
		{"forks", w.fork},
	}
	for range 5 + w.random.IntN(20) {
		step := steps[w.random.IntN(len(steps))]
		if err := step.do(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		w.count(step.name)
	}
	return nil
}

// create is asked again with the same request until it is answered.
func (w *worker) create(ctx context.Context, build string) (*box, error) {
	b := &box{id: w.newID(), files: map[string]string{}, unsure: map[string]bool{}}
	request := &pb.CreateSandboxRequest{SandboxId: b.id, BuildId: build, RequestId: b.id, Identity: w.identity(b.id)}
	for ctx.Err() == nil {
		_, err := call(ctx, w.agent.CreateSandbox, request)
		if err == nil {
			w.count("creates")
			return b, nil
		}
		if code := connect.CodeOf(err); code != connect.CodeAborted && code != connect.CodeNotFound {
			return nil, fmt.Errorf("create: %w", err)
		}
		w.count("creates cut") // its VMM was killed, or its agent: the answer is that there is none
	}
	return nil, ctx.Err()
}

// kill succeeds however often it is asked.
func (w *worker) kill(ctx context.Context, id string) error {
	_, err := call(ctx, w.agent.KillSandbox, &pb.KillSandboxRequest{SandboxId: id})
	if connect.CodeOf(err) == connect.CodeNotFound {
		return nil
	}
	return err
}

// pause leaves the sandbox paused for the next step to find, if it can.
func (w *worker) pause(ctx context.Context, b *box) error {
	if err := w.awake(ctx, b); err != nil {
		return err
	}
	_, err := call(ctx, w.agent.PauseSandbox, &pb.PauseSandboxRequest{SandboxId: b.id})
	return w.tolerate(err)
}

// snapshot makes another sandbox from this one's snapshot, and has a look at it.
func (w *worker) snapshot(ctx context.Context, b *box) error {
	if err := w.verify(ctx, b); err != nil {
		return err
	}
	build := uuid.NewString()
	if _, err := call(ctx, w.agent.SnapshotSandbox, &pb.SnapshotSandboxRequest{SandboxId: b.id, BuildId: build}); err != nil {
		if connect.CodeOf(err) == connect.CodeAlreadyExists { // the first answer was lost with the agent
			return w.deleteSnapshot(ctx, build)
		}
		return errors.Join(w.tolerate(err), w.deleteSnapshot(ctx, build))
	}
	copied, err := w.create(ctx, build)
	if err != nil {
		return err
	}
	copied.files = maps.Clone(b.files)
	return errors.Join(w.verify(ctx, copied), w.kill(ctx, copied.id), w.deleteSnapshot(ctx, build))
}

func (w *worker) deleteSnapshot(ctx context.Context, build string) error {
	_, err := call(ctx, w.agent.DeleteSnapshot, &pb.DeleteSnapshotRequest{BuildId: build})
	if connect.CodeOf(err) == connect.CodeNotFound {
		return nil
	}
	return err
}

// fork makes two sandboxes that go on from this one.
func (w *worker) fork(ctx context.Context, b *box) error {
	if err := w.verify(ctx, b); err != nil {
		return err
	}
	var forks []*pb.Fork
	for range 2 {
		id := w.newID()
		forks = append(forks, &pb.Fork{SandboxId: id, Identity: w.identity(id)})
	}
	made, err := call(ctx, w.agent.ForkSandbox, &pb.ForkSandboxRequest{SandboxId: b.id, Forks: forks})
	err = w.tolerate(err)
	for i, fork := range forks {
		if err == nil && made != nil && made.GetResults()[i].GetError() == "" {
			err = w.verify(ctx, &box{id: fork.GetSandboxId(), files: b.files, unsure: b.unsure})
		}
		err = errors.Join(err, w.kill(ctx, fork.GetSandboxId()))
	}
	return err
}
