package chaos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/google/uuid"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
)

// worker is a client that does at random whatever clients do with sandboxes.
type worker struct {
	agent  *agent
	killer *killer
	number int
	random *rand.Rand
	made   int
	// sandboxes and builds are what may be there because of this worker.
	sandboxes, builds map[string]bool

	mutex  sync.Mutex
	counts map[string]int
}

func newWorker(a *agent, k *killer, number int, seed uint64) *worker {
	return &worker{
		agent: a, killer: k, number: number, random: rand.New(rand.NewPCG(seed, uint64(number)+1)),
		sandboxes: map[string]bool{}, builds: map[string]bool{}, counts: map[string]int{},
	}
}

func (w *worker) count(what string) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.counts[what]++
}

func (w *worker) identity(id string) *pb.Identity {
	return &pb.Identity{LifecycleId: fmt.Sprintf("%s-%d", id, w.random.Int64())}
}

func (w *worker) newID() string {
	w.made++
	id := fmt.Sprintf("ichaos%02dn%011d", w.number, w.made)
	w.sandboxes[id] = true
	return id
}

// run works on one sandbox after the other until ctx ends or something is lost.
// What it holds then is verified under a context of its own, and everything is
// cleared away that it was stopped in the middle of.
func (w *worker) run(ctx, finish context.Context) (err error) {
	for ctx.Err() == nil && err == nil {
		var b *box
		if b, err = w.create(ctx, w.agent.build); err != nil {
			err = ignoreEnd(ctx, err)
			break
		}
		err = ignoreEnd(ctx, w.use(ctx, b))
		if err == nil && ctx.Err() == nil {
			err = w.verify(finish, b)
		} else if err == nil { // the last one, when all is quiet
			err = w.reach(finish, b)
		}
		err = errors.Join(err, w.kill(finish, b.id))
	}
	return errors.Join(err, w.clear(finish))
}

func (w *worker) clear(ctx context.Context) (err error) {
	for id := range w.sandboxes {
		err = errors.Join(err, w.kill(ctx, id))
	}
	for build := range w.builds {
		err = errors.Join(err, w.deleteSnapshot(ctx, build))
	}
	return err
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
		{"pauses without memory", w.pauseDiskOnly},
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
		_, err := call(ctx, w.agent.peace, w.agent.CreateSandbox, request)
		if err == nil {
			w.count("creates")
			return b, nil
		}
		switch code := connect.CodeOf(err); {
		case code == connect.CodeAborted, code == connect.CodeNotFound:
			w.count("creates cut") // its VMM was killed, or its agent: the answer is that there is none
		case code == connect.CodeResourceExhausted && w.killer.fills:
			w.count("creates refused")
			<-time.After(100 * time.Millisecond)
		default:
			return nil, fmt.Errorf("create: %w", err)
		}
	}
	return nil, ctx.Err()
}

// kill succeeds however often it is asked.
func (w *worker) kill(ctx context.Context, id string) error {
	_, err := call(ctx, w.agent.peace, w.agent.KillSandbox, &pb.KillSandboxRequest{SandboxId: id, RequestId: w.newRequest()})
	if err != nil && connect.CodeOf(err) != connect.CodeNotFound {
		return err
	}
	delete(w.sandboxes, id)
	return nil
}

// newRequest names a call that is made again when its answer was lost.
func (w *worker) newRequest() string { return fmt.Sprintf("%d-%d", w.number, w.random.Int64()) }

// pause leaves the sandbox paused for the next step to find, if it can.
func (w *worker) pause(ctx context.Context, b *box) error {
	return w.pauseAs(ctx, b, &pb.PauseSandboxRequest{})
}

// pauseDiskOnly gives the sandbox's memory up.
func (w *worker) pauseDiskOnly(ctx context.Context, b *box) error {
	b.boot = ""
	return w.pauseAs(ctx, b, &pb.PauseSandboxRequest{WithoutMemory: true})
}

func (w *worker) pauseAs(ctx context.Context, b *box, request *pb.PauseSandboxRequest) error {
	if err := w.awake(ctx, b); err != nil {
		return err
	}
	request.SandboxId, request.RequestId = b.id, w.newRequest()
	_, err := call(ctx, w.agent.peace, w.agent.PauseSandbox, request)
	return w.tolerate(err)
}

// snapshot makes another sandbox from this one's snapshot, and has a look at it.
func (w *worker) snapshot(ctx context.Context, b *box) error {
	if err := w.verify(ctx, b); err != nil {
		return err
	}
	build := uuid.NewString()
	w.builds[build] = true
	_, err := call(ctx, w.agent.peace, w.agent.SnapshotSandbox, &pb.SnapshotSandboxRequest{SandboxId: b.id, BuildId: build, RequestId: w.newRequest()})
	if err != nil {
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
	_, err := call(ctx, w.agent.peace, w.agent.DeleteSnapshot, &pb.DeleteSnapshotRequest{BuildId: build})
	if err != nil && connect.CodeOf(err) != connect.CodeNotFound {
		return err
	}
	delete(w.builds, build)
	return nil
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
	made, err := call(ctx, w.agent.peace, w.agent.ForkSandbox, &pb.ForkSandboxRequest{SandboxId: b.id, Forks: forks, RequestId: w.newRequest()})
	err = w.tolerate(err)
	for i, fork := range forks {
		if err == nil && made != nil && made.GetResults()[i].GetError() == "" {
			err = w.verify(ctx, &box{id: fork.GetSandboxId(), files: b.files, unsure: b.unsure})
		}
		err = errors.Join(err, w.kill(ctx, fork.GetSandboxId()))
	}
	return err
}
