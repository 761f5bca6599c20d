package filesystem

import "time"

// limits bound what clients can accumulate.
type limits struct {
	watches       int           // open at a time, each an inotify instance
	directories   int           // of one recursive watch
	events        int           // queued for one client
	bufferedBytes int           // of events queued for all polling clients, and of one scan of a new tree
	evictAfter    time.Duration // without a call a watcher may be evicted for another
	expireAfter   time.Duration // without a call a watcher ends
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
