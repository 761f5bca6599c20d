// Package previousagent runs the host agent of the version before with today's
// control plane's client.
package previousagent

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"git.omukk.dev/wrenn/sandbox/internal/vmm/vmmtest"
)

// Variables of the environment that tell the tests what build did.
const (
	programsVariable = "WRENN_TEST_PREVIOUS_AGENT"         // directory with its programs
	absentVariable   = "WRENN_TEST_PREVIOUS_AGENT_MISSING" // why there are none
)

const repository = "../.."

// TestMain builds the agent before the tests' host is made, which has no way to a
// module proxy.
func TestMain(m *testing.M) { os.Exit(vmmtest.Main(m, build)) }

// build builds the agent and its guest agent from the commit that
// proto/previous-agent names. A clone without that commit is no error.
func build(directory string) (environment []string, err error) {
	content, err := os.ReadFile(filepath.Join(repository, "proto/previous-agent"))
	if err != nil {
		return nil, err
	}
	commit := strings.TrimSpace(string(content))
	archive := exec.Command("git", "-c", "safe.directory=*", "-C", repository, "archive", commit)
	var source, complaints bytes.Buffer
	archive.Stdout, archive.Stderr = &source, &complaints
	if err := archive.Run(); err != nil {
		reason := fmt.Sprintf("commit %s cannot be read from this clone: %s", commit, strings.TrimSpace(complaints.String()))
		return []string{absentVariable + "=" + reason}, nil
	}
	tree := filepath.Join(directory, "previous")
	if err := os.Mkdir(tree, 0o700); err != nil {
		return nil, err
	}
	unpack := exec.Command("tar", "-x", "-C", tree)
	unpack.Stdin = &source
	for _, command := range []*exec.Cmd{
		unpack,
		goBuild(tree, tree, "./cmd/host-agent", "wrenn-host-agent"),
		goBuild(tree, filepath.Join(tree, "envd"), ".", "envd"),
	} {
		if output, err := command.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build the agent of commit %s: %w: %s", commit, err, output)
		}
	}
	return []string{programsVariable + "=" + filepath.Join(tree, "bin")}, nil
}

// goBuild builds as `make build` does.
func goBuild(tree, module, source, program string) *exec.Cmd {
	command := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid=",
		"-o", filepath.Join(tree, "bin", program), source)
	command.Dir = module
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	return command
}
