package chaos

import (
	"context"
	"math/rand/v2"
	"syscall"
	"time"

	"git.omukk.dev/wrenn/sandbox/test/e2e/installation"
)

// buildKiller ends the processes that take part in builds, at random moments.
type buildKiller struct {
	wrenn  *wrenn
	random *rand.Rand
	// done counts what was ended.
	done map[string]int
}

// Between two deaths of something that builds need.
const minBuildPeace, maxBuildPeace = time.Second, 10 * time.Second

func (k *buildKiller) run(ctx context.Context) error {
	deeds := []struct {
		name string
		do   func(context.Context) (bool, error)
	}{
		{"agents killed", k.part("wrenn-agent", syscall.SIGKILL)},
		{"agents stopped", k.part("wrenn-agent", syscall.SIGTERM)},
		{"control planes killed", k.part("wrenn-control", syscall.SIGKILL)},
		{"control planes stopped", k.part("wrenn-control", syscall.SIGTERM)},
		{"replicas killed", k.endReplica((*installation.Replica).Kill)},
		{"replicas stopped", k.endReplica((*installation.Replica).Stop)},
		{"build VMs killed", k.killVM},
		{"build VMs killed", k.killVM},
		{"build VMs killed", k.killVM},
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(minBuildPeace + time.Duration(k.random.Int64N(int64(maxBuildPeace-minBuildPeace)))):
		}
		deed := deeds[k.random.IntN(len(deeds))]
		err := k.wrenn.peace.disturb(func() error {
			did, err := deed.do(ctx)
			if did {
				k.done[deed.name]++
			}
			return err
		})
		if err != nil {
			return err
		}
	}
}

func (k *buildKiller) part(name string, signal syscall.Signal) func(context.Context) (bool, error) {
	return func(context.Context) (bool, error) { return k.wrenn.signalPart(name, signal), nil }
}

func (k *buildKiller) endReplica(end func(*installation.Replica) error) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) { return true, k.wrenn.restartReplica(ctx, end) }
}

func (k *buildKiller) killVM(context.Context) (bool, error) {
	found := k.wrenn.buildVMs()
	if len(found) == 0 {
		return false, nil
	}
	return syscall.Kill(found[k.random.IntN(len(found))], syscall.SIGKILL) == nil, nil // it may have ended
}
