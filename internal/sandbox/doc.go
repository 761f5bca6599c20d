// Package sandbox keeps the sandboxes of one host: each is a microVM that runs, or a
// snapshot of one.
//
// Manager is what the host agent calls. It delegates to parts, each in a package below
// this one: state has the table of states; record the file and the directory of each
// sandbox; guest the VM that runs and the calls to its agent; warm the guests held ready;
// meter the measuring; admission the room on the host; catalog what can be created from;
// request the calls that are sent again; feed the watchers; upkeep the work in the
// background.
//
// A sandbox is changed by an operation, one at a time. These are the operations, and in
// which order each changes the record, the memory and disk files, and the VM. "Announce"
// tells the watchers; every operation begins with a step of the table in package state.
//
//	call        states                        what it does, in this order
//	Create      creating→running              admit; announce; make the directory; save "creating"; clone disk, link memory;
//	                                          start VM; give identity; save "running"; announce. Undone: remove directory, announce "gone"
//	Fork        parent as Snapshot            as Snapshot, but not durable, and a Create of each fork while the parent is stopped
//	Pause       running→pausing→paused        announce; save "pausing"; quiet guest; end connections; stop VM; write memory and disk of
//	                                          a new snapshot; save "paused" (the pause counts from here); end VM; remove its files and
//	                                          the earlier snapshot; announce. Undone: VM runs on, save "running", announce
//	Resume      paused→resuming→running       admit; announce; save "resuming"; as Create from the disk on. Undone: save "paused", announce
//	Snapshot    running→snapshotting→running  announce; save "snapshotting"; quiet guest; stop VM; write memory and disk; start VM;
//	                                          wake guest; save "running"; announce
//	network     running→updating→running      save the new policy; put it in force; tell guest; announce. Undone: the same with the old one
//	Kill        any→killing→gone              interrupt the operation under way; announce; save "killing"; end VM; remove directory; announce
//	VM's end    running→pausing→paused        announce; write disk of a new snapshot; save "paused"; as Pause. Undone: failed, retried
//	Retry, Hold running→updating→running      tell guest, or stop or start VM; announce
//	recovery    as recorded                   running: adopt VM, announce; pausing, snapshotting: also start VM, wake guest, save "running";
//	                                          resuming: save "paused"; creating, killing: remove directory
//	Close       as Pause, for all             a guest that does not fall quiet: end VM, then as VM's end
//	Leave       none                          wait for operations; VMs run on
//
// Lock order: a feed's mutex before a sandbox's. The mutexes of host and sandbox are never
// held together, and none is held across I/O.
package sandbox
