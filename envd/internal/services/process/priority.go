package process

import (
	"fmt"
	"os"
	"sync"

	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/id"
)

// How ready the kernel is to kill a process when memory runs out, from -1000
// (never) to 1000 (first).
// Source: proc_pid_oom_score_adj(5).
const (
	scoreOfCommands = "100"
	scoreInBetween  = "0"
	scoreOfEnvd     = "-1000"
)

// protection keeps what envd has, to be spared when memory runs out, from what
// it starts.
type protection struct {
	mutex sync.Mutex // held while a process starts
}

// lift starts a process that may be killed. A child inherits its parent's
// score, and may have children of its own before anybody could change that:
// so envd gives up its own score for that moment.
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

// relax lets the kernel choose a command before what else there is.
func relax(pid id.Process) {
	// It may have ended already; then there is nothing to relax.
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte(scoreOfCommands), 0)
}
