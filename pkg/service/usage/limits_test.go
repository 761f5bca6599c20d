package usage

import (
	"testing"

	"pgregory.net/rapid"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
)

func TestCheckAlone_RefusesExactlyWhatALimitExcludes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := func(label string) *int64 {
			return rapid.Ptr(rapid.Int64Range(0, 10), true).Draw(t, label)
		}
		limits := Limits{
			MaxVCPUs: limit("vCPUs"), MaxMemoryMiB: limit("memory"), MaxDiskMiB: limit("disk"),
			MaxSandboxVCPUs: limit("vCPUs of each"), MaxSandboxMemoryMiB: limit("memory of each"), MaxSandboxDiskMiB: limit("disk of each"),
		}
		part := rapid.Int64Range(0, 12)
		size := scheduler.Resources{VCPUs: part.Draw(t, "cpus"), MemoryMiB: part.Draw(t, "memory"), DiskMiB: part.Draw(t, "disk")}
		over := func(wanted int64, most *int64) bool { return most != nil && wanted > *most }
		each := over(size.VCPUs, limits.MaxSandboxVCPUs) || over(size.MemoryMiB, limits.MaxSandboxMemoryMiB) || over(size.DiskMiB, limits.MaxSandboxDiskMiB)
		all := over(size.VCPUs, limits.MaxVCPUs) || over(size.MemoryMiB, limits.MaxMemoryMiB) || over(size.DiskMiB, limits.MaxDiskMiB)
		if err := limits.CheckEach(size); (err != nil) != each || each && fault.CodeOf(err) != fault.Invalid {
			t.Fatalf("CheckEach: %v", err)
		}
		if err := limits.CheckAlone(size); (err != nil) != (each || all) {
			t.Fatalf("CheckAlone: %v", err)
		}
	})
}
