package host

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/utils"
)

// agentProgram is the guest agent's own file.
const agentProgram = "/.wrenn/bin/envd"

// VolumeProgram is the name by which the guest agent's program mounts and syncs a volume,
// each in a process that can be killed while the server does not answer.
const VolumeProgram = "wrenn-volume"

// RunVolumeProgram is that program: "mount SOURCE PATH OPTIONS" or "sync PATH". It returns
// the exit status.
func RunVolumeProgram(arguments []string, complaints io.Writer) int {
	var err error
	switch {
	case len(arguments) == 4 && arguments[0] == "mount":
		err = unix.Mount(arguments[1], arguments[2], "nfs", unix.MS_NOSUID|unix.MS_NODEV, arguments[3])
	case len(arguments) == 2 && arguments[0] == "sync":
		err = syncFilesystem(arguments[1])
	default:
		err = errors.New("usage: mount SOURCE PATH OPTIONS, or sync PATH")
	}
	if err != nil {
		fmt.Fprintln(complaints, err)
		return 1
	}
	return 0
}

func syncFilesystem(path string) error {
	directory, err := os.Open(path)
	if err != nil {
		return err
	}
	defer directory.Close()
	return utils.WithDescriptor(directory, unix.Syncfs)
}
