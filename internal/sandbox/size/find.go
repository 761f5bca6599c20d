package size

import (
	"cmp"
	"context"
	"fmt"

	"git.omukk.dev/wrenn/sandbox/internal/sandbox/admission"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

// Error is returned for a size that a build cannot have on this host. It is for the client.
type Error struct{ reason string }

// Error says why, and what to do.
func (e *Error) Error() string { return e.reason }

// Find returns a build with a size, of which what is zero is as the build has it. The
// snapshot stays until release is called. It is made first where the host does not have it
// yet; told is then called with what is being done. When ctx ends the making goes on: a
// later call finds what it has made.
func (s *Store) Find(ctx context.Context, buildID string, size admission.Size, told func(string)) (_ *snapshot.Snapshot, release func(), err error) {
	build, err := s.config.Builds.Find(buildID)
	if err != nil {
		return nil, nil, err
	}
	own := admission.SizeOf(build)
	wanted := admission.Size{
		VCPUCount: cmp.Or(size.VCPUCount, own.VCPUCount), MemoryMiB: cmp.Or(size.MemoryMiB, own.MemoryMiB), DiskMiB: cmp.Or(size.DiskMiB, own.DiskMiB),
	}
	if wanted == own {
		return build, func() {}, nil
	}
	if err := s.check(build, wanted); err != nil {
		return nil, nil, err
	}
	if build.DiskOnly { // it boots anyway
		return build.Resized(wanted.VCPUCount, wanted.MemoryMiB, wanted.DiskMiB), func() {}, nil
	}
	return s.use(ctx, build, wanted, told)
}

// leastMemoryMiB is what a kernel and the guest agent need.
const leastMemoryMiB = 128

func (s *Store) check(build *snapshot.Snapshot, wanted admission.Size) error {
	refuse := func(format string, arguments ...any) error {
		return &Error{reason: fmt.Sprintf(format, arguments...)}
	}
	switch {
	case wanted.VCPUCount < 1 || wanted.MemoryMiB < leastMemoryMiB:
		return refuse("a sandbox needs at least 1 vCPU and %d MiB of memory", leastMemoryMiB)
	case wanted.DiskMiB < build.DiskMiB:
		return refuse("the template's disk has %d MiB, and a sandbox cannot have a smaller one: ask for diskSizeMB of at least %d", build.DiskMiB, build.DiskMiB)
	case s.config.MostVCPUs > 0 && wanted.VCPUCount > s.config.MostVCPUs:
		return refuse("this host runs guests with at most %d vCPUs: ask for a smaller cpuCount", s.config.MostVCPUs)
	case !build.CanResize() && build.FinishKey != "":
		return refuse("the template was built by an earlier version of Wrenn, and has only the size that it was built with: build it again")
	case !build.CanResize():
		return refuse("a snapshot with memory has only the size of the sandbox that it was taken of: " +
			"leave cpuCount, memoryMB and diskSizeMB out, or take the snapshot without memory")
	}
	return nil
}
