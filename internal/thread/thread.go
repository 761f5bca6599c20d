// Package thread runs functions that change their thread's namespaces or privileges.
package thread

import "runtime"

// The main thread is kept for main: it never ends, so a namespace that it entered would
// exist as long as the program, and /proc/self would show that namespace.
func init() { runtime.LockOSThread() }

// Run runs work on a thread of its own, which ends afterwards: the Go scheduler never
// reuses it. Processes that work starts inherit its changes.
func Run(work func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		result <- work()
	}()
	return <-result
}
