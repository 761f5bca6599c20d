package filesystem

import "time"

// limits bounds what clients can pile up.
type limits struct {
	watches       int           // open at a time, each an inotify instance
	directories   int           // of one recursive watch
	events        int           // that wait for one client
	bufferedBytes int           // of events that wait for all clients that poll, and of one look into a new tree
	evictAfter    time.Duration // without being asked a watcher may make room for another
	expireAfter   time.Duration // without being asked a watcher ends
}

// The kernel allows each user 128 inotify instances, and the guest's own
// programs need some of root's.
var defaultLimits = limits{
	watches:       96,
	directories:   1 << 16,
	events:        1 << 16,
	bufferedBytes: 32 << 20,
	evictAfter:    10 * time.Minute,
	expireAfter:   time.Hour,
}
