package boot

import (
	"fmt"
	"os"
	"syscall"
)

// Programs of Wrenn's directory.
const (
	shell      = Directory + "/bin/busybox"
	supervisor = Directory + "/supervise"
)

// searchPath has the image's programs first; of what the image lacks, Wrenn's.
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:" + Directory + "/bin"

// handOver makes this process the one that supervises the guest. It returns only if that
// fails.
func handOver(settings Settings) error {
	if err := os.Setenv("PATH", searchPath); err != nil {
		return err
	}
	switch settings.Init {
	case "", initOwn:
		complain(runTmpfiles())
		return become(shell, "sh", supervisor)
	case InitSystemd:
		return startSystemd()
	default:
		return fmt.Errorf("an init %q is not known", settings.Init)
	}
}

// become replaces this process by a program. The arguments begin with the program's name
// for itself; without them it is its path.
func become(program string, arguments ...string) error {
	if len(arguments) == 0 {
		arguments = []string{program}
	}
	environment := []string{"PATH=" + searchPath, "HOME=/root", "TERM=linux", "USER=root", "SHELL=/bin/sh"}
	if UnderGVisor() {
		environment = append(environment, kernelVariable+"="+GVisor)
	}
	if err := syscall.Exec(program, arguments, environment); err != nil {
		return fmt.Errorf("start %s: %w", program, err)
	}
	return nil
}
