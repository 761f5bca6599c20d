package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// killer ends processes at random moments until its context ends, and takes all
// room on the disk for a while if it fills.
type killer struct {
	agent  *agent
	random *rand.Rand
	fills  bool

	mutex   sync.Mutex
	vmms    map[string]int // VMMs killed, by sandbox
	agents  int
	stopped int // agents told to stop
	socats  int
	filled  int
}

// Between two deaths, and how long a disk stays full.
const (
	minPeace, maxPeace = 300 * time.Millisecond, 4 * time.Second
	longestFull        = 5 * time.Second
)

func (k *killer) run(ctx context.Context) error {
	deeds := []func(context.Context) error{k.killAgent, k.killAgent, k.stopAgent, k.killVMM, k.killVMM, k.killSocat, k.killSocat}
	if k.fills {
		deeds = append(deeds, k.fillDisk, k.fillDisk, k.fillDisk)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(minPeace + time.Duration(k.random.Int64N(int64(maxPeace-minPeace)))):
		}
		deed := deeds[k.random.IntN(len(deeds))]
		if err := k.agent.peace.disturb(func() error { return deed(ctx) }); err != nil {
			return err
		}
	}
}

func (k *killer) count(what *int) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	*what++
}

func (k *killer) killAgent(context.Context) error {
	k.count(&k.agents)
	k.agent.signal(syscall.SIGKILL)
	return nil
}

// stopAgent is a restart in order, as for an upgrade.
func (k *killer) stopAgent(context.Context) error {
	k.count(&k.stopped)
	k.agent.signal(syscall.SIGTERM)
	return nil
}

// fillDisk takes all room there is, also what becomes free, and kills meanwhile:
// nobody is to need room for what must not be lost.
func (k *killer) fillDisk(ctx context.Context) error {
	k.count(&k.filled)
	filler, err := newFiller(filepath.Join(k.agent.dataDir, "storage"))
	if err != nil {
		return err
	}
	defer filler.giveBack()
	for end := time.Now().Add(time.Duration(k.random.Int64N(int64(longestFull)))); time.Now().Before(end) && ctx.Err() == nil; {
		if _, err := filler.take(); err != nil {
			return err
		}
		if k.random.IntN(20) == 0 {
			_ = k.killVMM(ctx) // it never fails
		}
		<-time.After(100 * time.Millisecond)
	}
	return nil
}

// machine is a sandbox's VMM, as its record says.
type machine struct {
	sandbox string
	process int
}

func (k *killer) machines() []machine {
	records, _ := filepath.Glob(filepath.Join(k.agent.dataDir, "storage", "sandboxes", "*", "sandbox.json"))
	var found []machine
	for _, path := range records {
		content, err := os.ReadFile(path)
		var record struct{ Process struct{ ID int } }
		if err == nil && json.Unmarshal(content, &record) == nil && record.Process.ID > 0 {
			found = append(found, machine{filepath.Base(filepath.Dir(path)), record.Process.ID})
		}
	}
	return found
}

func (k *killer) kill(victim machine) error {
	k.mutex.Lock()
	k.vmms[victim.sandbox]++ // before: who finds it dead shall know why
	k.mutex.Unlock()
	return syscall.Kill(victim.process, syscall.SIGKILL)
}

// killOf ends the VMM of one sandbox.
func (k *killer) killOf(id string) error {
	for _, victim := range k.machines() {
		if victim.sandbox == id {
			return k.kill(victim)
		}
	}
	return fmt.Errorf("sandbox %s has no VMM", id)
}

func (k *killer) killVMM(context.Context) error {
	found := k.machines()
	if len(found) == 0 {
		return nil
	}
	_ = k.kill(found[k.random.IntN(len(found))]) // it may have ended
	return nil
}

func (k *killer) killSocat(ctx context.Context) error {
	found := k.machines()
	if len(found) == 0 {
		return nil
	}
	if _, err := k.agent.shell(ctx, found[k.random.IntN(len(found))].sandbox, "sudo pkill -9 socat"); err == nil {
		k.count(&k.socats)
	}
	return nil
}

// killed is how many of a sandbox's VMMs were killed so far.
func (k *killer) killed(id string) int {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	return k.vmms[id]
}
