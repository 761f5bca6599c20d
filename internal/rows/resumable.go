package rows

import "git.omukk.dev/wrenn/sandbox/pkg/lifecycle"

// Resumable says whether traffic may bring the sandbox back, which does not run. One
// that was paused without memory, or with one that is of no use, would have to boot.
func (s Sandbox) Resumable() bool {
	if !s.AutoResume || s.WithoutMemory || s.GuestUnresponsive {
		return false
	}
	switch s.State {
	case lifecycle.Pausing, lifecycle.Paused, lifecycle.Resuming:
		return true
	default:
		return false
	}
}
