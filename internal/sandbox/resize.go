package sandbox

import (
	"cmp"
	"context"
	"fmt"

	"git.omukk.dev/wrenn/sandbox/internal/sandbox/admission"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

// Sizes keeps snapshots of builds with other sizes.
type Sizes interface {
	// Use returns a build with another size, which stays until release is called. It is
	// made first where the host does not have it; told is called with what is being done.
	Use(ctx context.Context, base *snapshot.Snapshot, size admission.Size, told func(string)) (_ *snapshot.Snapshot, release func(), err error)
	// Tidy has those removed, soon, whose build is gone.
	Tidy()
}

// SizeError is returned for a size that a build cannot have on this host. It is for the
// client.
type SizeError struct{ Reason string }

// Error says why, and what to do.
func (e *SizeError) Error() string { return e.Reason }

// OfferSizes has builds created with other sizes than their own.
func (m *Manager) OfferSizes(sizes Sizes) { m.sizes = sizes }

// PrepareSize returns when a build can be created with another size. told is called with
// what is done for that.
func (m *Manager) PrepareSize(ctx context.Context, buildID string, size admission.Size, told func(string)) error {
	_, release, err := m.sized(ctx, buildID, size, told)
	if err == nil {
		release()
	}
	return err
}

// sized finds a build with a size. The snapshot stays until release is called.
func (m *Manager) sized(ctx context.Context, buildID string, size admission.Size, told func(string)) (_ *snapshot.Snapshot, release func(), err error) {
	build, err := m.catalog.Find(buildID)
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
	if err := m.checkSize(build, wanted); err != nil {
		return nil, nil, err
	}
	if build.DiskOnly {
		return build.Resized(wanted.VCPUCount, wanted.MemoryMiB, wanted.DiskMiB), func() {}, nil
	}
	return m.sizes.Use(ctx, build, wanted, told)
}

// leastMemoryMiB is what a kernel and the guest agent need.
const leastMemoryMiB = 128

func (m *Manager) checkSize(build *snapshot.Snapshot, wanted admission.Size) error {
	refuse := func(format string, arguments ...any) error {
		return &SizeError{Reason: fmt.Sprintf(format, arguments...)}
	}
	switch {
	case wanted.VCPUCount < 1 || wanted.MemoryMiB < leastMemoryMiB:
		return refuse("a sandbox needs at least 1 vCPU and %d MiB of memory", leastMemoryMiB)
	case wanted.DiskMiB < build.DiskMiB:
		return refuse("the template's disk has %d MiB, and a sandbox cannot have a smaller one: ask for diskSizeMB of at least %d", build.DiskMiB, build.DiskMiB)
	case m.mostVCPUs > 0 && wanted.VCPUCount > m.mostVCPUs:
		return refuse("this host runs guests with at most %d vCPUs: ask for a smaller cpuCount", m.mostVCPUs)
	case !build.CanResize() && build.FinishKey != "":
		return refuse("the template was built by an earlier version of Wrenn, and has only the size that it was built with: build it again")
	case !build.CanResize():
		return refuse("a snapshot with memory has only the size of the sandbox that it was taken of: " +
			"leave cpuCount, memoryMB and diskSizeMB out, or take the snapshot without memory")
	case m.sizes == nil && !build.DiskOnly:
		return refuse("this host makes no sandboxes of other sizes than their template's")
	}
	return nil
}

// DeleteBuild deletes a build of a template or a snapshot of a sandbox, and its sizes. What
// was created from it runs on.
func (m *Manager) DeleteBuild(buildID string) error {
	if err := m.catalog.Delete(buildID); err != nil {
		return err
	}
	if m.sizes != nil {
		m.sizes.Tidy()
	}
	return nil
}
