// Package thread runs what changes the thread it runs on: its namespaces, its
// privileges.
package thread

import "runtime"

// The main thread is kept for main. It never ends, so a namespace it entered
// would live as long as the program, and /proc/self would show that namespace as
// the program's own.
func init() { runtime.LockOSThread() }

// Run runs work on a thread of its own, which ends with it and so never gives
// what was changed about it back to the Go scheduler. Processes that work
// starts inherit those changes.
func Run(work func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		result <- work()
	}()
	return <-result
}
