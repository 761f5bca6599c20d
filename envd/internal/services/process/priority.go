package process

import (
	"fmt"
	"os"
	"sync"

	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/id"
)

// Values of oom_score_adj, from -1000 (never killed when memory runs out) to 1000 (killed
// first).
// Source: proc_pid_oom_score_adj(5).
const (
	scoreOfCommands = "100"
	scoreInBetween  = "0"
	scoreOfEnvd     = "-1000"
)

// protection starts processes without envd's own protection from being killed when memory
// runs out.
type protection struct {
	mutex sync.Mutex // held while a process starts
}

// lift starts a process with the default score. A child inherits its parent's score, and
// can fork before the score is changed, so envd changes its own during the start.
func (p *protection) lift(start func() error) error {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	const path = "/proc/self/oom_score_adj"
	current, err := os.ReadFile(path)
	if err != nil || string(current) != scoreOfEnvd+"\n" {
		return start() // envd is not protected here
	}
	if err := os.WriteFile(path, []byte(scoreInBetween), 0); err != nil {
		return fmt.Errorf("lift envd's own protection: %w", err)
	}
	startErr := start()
	if err := os.WriteFile(path, []byte(scoreOfEnvd), 0); err != nil && startErr == nil {
		return fmt.Errorf("protect envd again: %w", err)
	}
	return startErr
}

// relax makes the kernel kill a command before other processes.
func relax(pid id.Process) {
	// Fails if it has ended.
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte(scoreOfCommands), 0)
}
