package doctor

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"strings"

	"git.omukk.dev/wrenn/sandbox/internal/vmm/firecracker"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/gvisor"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/qemu"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

// Chosen is which driver a host agent has chosen for a data directory, and on what.
type Chosen struct {
	Driver, Accelerator string
	// Reason is why guests are not on KVM; empty where they are.
	Reason string
}

// barriers are what stands between a sandbox and the host, by driver and accelerator. An
// accelerator that is not listed is as the driver's own entry.
var barriers = map[string]string{
	firecracker.Name:           "a guest has a kernel of its own; KVM, Firecracker and its jail stand between it and the host",
	qemu.Name:                  "a guest has a kernel of its own; KVM and a confined QEMU stand between it and the host",
	qemu.Name + "/" + qemu.TCG: "a guest has a kernel of its own; the confined process that emulates its processor stands between it and the host, and QEMU's developers do not promise that emulation isolates",
	gvisor.Name:                "a guest has no kernel of its own; gVisor's, a confined process of the host, answers its system calls and makes few of its own",
}

const (
	// howToVirtualise is what to do where guests are emulated.
	howToVirtualise = "for virtual machines on KVM turn on virtualisation in the firmware or, on a virtual machine, nested virtualisation, " +
		"and start Wrenn again: it tries KVM anew; for gVisor, at the machine's own speed, start it with WRENN_DRIVER=gvisor"
	// howToLeaveGVisor is what to do where virtual machines are wanted and gVisor runs.
	howToLeaveGVisor = "for virtual machines start Wrenn with WRENN_DRIVER=qemu; what is paused here needs gvisor"
)

// checkIsolation says what isolates sandboxes, why it is that, and what to do for another.
func checkIsolation(_ context.Context, options Options) Result {
	if options.Chosen == nil {
		return ok("not examined")
	}
	chosen, err := options.Chosen()
	switch {
	case errors.Is(err, fs.ErrPermission):
		return forRoot("which driver runs the sandboxes")
	case err != nil:
		return warn("", "which driver runs the sandboxes is not known: %v", err)
	case chosen == (Chosen{}):
		return ok("the first start chooses the driver: it boots a guest on KVM, and emulates guests if that fails")
	}
	return describeIsolation(chosen, options.Driver)
}

func describeIsolation(chosen Chosen, wanted string) Result {
	isolation := cmp.Or(string(sandbox.IsolationOf(chosen.Driver)), "unknown")
	barrier := cmp.Or(barriers[chosen.Driver+"/"+chosen.Accelerator], barriers[chosen.Driver])
	why := "a guest boots on KVM here"
	switch {
	case chosen.Reason != "":
		why = "no guest boots on KVM here: " + oneLine(chosen.Reason)
	case wanted == chosen.Driver:
		why = "the driver is configured"
	case isolation == string(sandbox.GVisor):
		why = "the data directory is used with it"
	}
	detail := isolation + ", by " + chosen.Driver + " under " + chosen.Accelerator + " (" + why + "): " + barrier
	result := ok("%s", detail)
	switch {
	case chosen.Reason != "":
		result = warn(howToVirtualise, "%s", detail)
	case isolation == string(sandbox.GVisor):
		result.Fix = howToLeaveGVisor
	}
	return result
}

// oneLine is the text without line ends.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
