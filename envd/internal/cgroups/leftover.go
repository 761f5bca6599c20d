package cgroups

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/id"
)

// leftoverTimeout bounds how long killed processes may take to end.
const leftoverTimeout = 5 * time.Second

// endMembers kills every process of a group and waits until none is left. It does not use
// cgroup.kill: since Linux 6.14 a process that is later started into a group that was
// killed once can be killed, too.
func endMembers(directory string) error {
	deadline := time.Now().Add(leftoverTimeout)
	for {
		content, err := os.ReadFile(filepath.Join(directory, "cgroup.procs"))
		if err != nil {
			return fmt.Errorf("end leftover processes: %w", err)
		}
		members := strings.Fields(string(content))
		if len(members) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.New("end leftover processes: they do not end")
		}
		for _, member := range members {
			if process, err := id.ParseProcess(member); err == nil {
				_ = unix.Kill(int(process), unix.SIGKILL) // it may have ended meanwhile
			}
		}
		<-time.After(pollEvery)
	}
}
