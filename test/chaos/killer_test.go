package chaos

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// killer ends processes at random moments until its context ends.
type killer struct {
	agent  *agent
	random *rand.Rand

	mutex  sync.Mutex
	vmms   map[string]int // VMMs killed, by sandbox
	agents int
	socats int
}

// Between two deaths.
const minPeace, maxPeace = 300 * time.Millisecond, 4 * time.Second

func (k *killer) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(minPeace + time.Duration(k.random.Int64N(int64(maxPeace-minPeace)))):
		}
		switch k.random.IntN(3) {
		case 0:
			k.mutex.Lock()
			k.agents++
			k.mutex.Unlock()
			k.agent.signal(syscall.SIGKILL)
		case 1:
			k.killVMM()
		default:
			k.killSocat(ctx)
		}
	}
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

func (k *killer) killVMM() {
	found := k.machines()
	if len(found) == 0 {
		return
	}
	victim := found[k.random.IntN(len(found))]
	k.mutex.Lock()
	k.vmms[victim.sandbox]++ // before: who finds it dead shall know why
	k.mutex.Unlock()
	_ = syscall.Kill(victim.process, syscall.SIGKILL)
}

func (k *killer) killSocat(ctx context.Context) {
	found := k.machines()
	if len(found) == 0 {
		return
	}
	if _, err := k.agent.shell(ctx, found[k.random.IntN(len(found))].sandbox, "sudo pkill -9 socat"); err == nil {
		k.mutex.Lock()
		k.socats++
		k.mutex.Unlock()
	}
}

// killed is how many of a sandbox's VMMs were killed so far.
func (k *killer) killed(id string) int {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	return k.vmms[id]
}
