package vmmtest

import (
	"context"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/gen/process"
	"git.omukk.dev/wrenn/sandbox/gen/process/processconnect"
	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/envdclient"
	"git.omukk.dev/wrenn/sandbox/internal/template"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// imageMiB is the size of the small images' disks.
const imageMiB = 96

// rootTree is what a root file system is made of. A content that begins with "->" is a
// link, and one that is busyboxProgram the program; a path that ends with a slash is a
// directory.
type rootTree map[string]string

const busyboxProgram = "busybox"

// imageCases boot root file systems that no package manager has touched.
var imageCases = []struct {
	name string
	run  func(*suite, *testing.T)
}{
	{"BusyboxWithoutBashSudoAndUseradd", (*suite).testBusyboxImage},
	{"OneStaticProgramOnNothing", (*suite).testScratchImage},
	{"UserIDTakenAndBinApart", (*suite).testTakenImage},
	{"HostileFiles", (*suite).testHostileImage},
	{"DiskGrows", (*suite).testGrowth},
	{"BaseIsPreparedAgain", (*suite).testPreparedBase},
	{"SystemdAsPID1", (*suite).testSystemd},
	{"SystemdThatIsMissing", (*suite).testNoSystemd},
}

// RunImages boots images of many kinds with one driver. It needs root, and packages of
// systemd by Packages.
func RunImages(t *testing.T, open func(t *testing.T) vmm.Driver) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: runs real machines in network namespaces")
	}
	s := &suite{t: t, driver: open(t), image: findImage(t)}
	if s.image.DirectoryPath == "" {
		t.Skip("needs the parts of the guest image")
	}
	s.openStorage()
	s.openNetwork()
	for _, each := range imageCases {
		t.Run(each.name, func(t *testing.T) { each.run(s, t) })
	}
}

// writeImage makes a disk of a tree.
func (s *suite) writeImage(t *testing.T, tree rootTree, mkfsOptions ...string) string {
	t.Helper()
	root := t.TempDir()
	program, err := os.ReadFile(filepath.Join(s.image.DirectoryPath, "bin/busybox"))
	require.NoError(t, err)
	for path, content := range tree {
		target := filepath.Join(root, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(target), 0o755))
		switch link, isLink := strings.CutPrefix(content, "->"); {
		case strings.HasSuffix(path, "/"):
			require.NoError(t, os.MkdirAll(target, 0o755))
		case isLink:
			require.NoError(t, os.Symlink(link, target))
		case content == busyboxProgram:
			require.NoError(t, os.WriteFile(target, program, 0o755))
		default:
			require.NoError(t, os.WriteFile(target, []byte(content), 0o644))
		}
	}
	path := filepath.Join(s.directory(t), "disk")
	arguments := append([]string{"-q", "-F", "-d", root, "-E", "root_owner=0:0"}, mkfsOptions...)
	output, err := exec.CommandContext(t.Context(), "mkfs.ext4", append(arguments, path, strconv.Itoa(imageMiB)+"M")...).CombinedOutput()
	require.NoError(t, err, "%s", output)
	return path
}

// bootImage boots a machine from a clone of a disk, and begins its life as root.
func (s *suite) bootImage(t *testing.T, diskPath string, words ...string) *guest {
	t.Helper()
	g := s.prepare(t, diskPath)
	s.start(t, g, words...)
	return g
}

// start boots a machine with its disk.
func (s *suite) start(t *testing.T, g *guest, words ...string) {
	t.Helper()
	g.bootOnce(t, s, words)
	ctx, cancel := context.WithTimeout(t.Context(), bootTimeout)
	defer cancel()
	require.NoError(t, g.envd.AwaitHealthy(ctx), "wait for the guest agent")
	_, err := g.envd.Init(ctx, "", envdclient.Init{DefaultUser: "root", LifecycleID: t.Name(), EnvVars: map[string]string{"E2B_SANDBOX_ID": "sb-image"}})
	require.NoError(t, err)
}

func (g *guest) bootOnce(t *testing.T, s *suite, words []string) {
	t.Helper()
	require.NoError(t, os.RemoveAll(g.memoryPath))
	require.NoError(t, disk.CreateSparse(g.memoryPath, memoryMiB<<20))
	machine, err := s.driver.Boot(t.Context(), g.spec, vmm.Boot{
		MemoryPath: g.memoryPath, KernelPath: s.image.KernelPath, InitramfsPath: s.image.InitramfsPath,
		CommandLine: strings.Join(append([]string{template.KernelCommandLine}, words...), " "),
	})
	g.owns(t, machine, err)
}

// reboot writes what the guest has to its disk, and boots a machine with it again.
func (s *suite) reboot(t *testing.T, g *guest) {
	t.Helper()
	g.runProgram(t, "root", "/.wrenn/bin/busybox", "sync")
	g.end(t)
	s.start(t, g)
}

// prepareImage runs the prepare program.
func (g *guest) prepareImage(t *testing.T, arguments ...string) template.Preparation {
	t.Helper()
	printed, status := g.execute(t, "root", template.PrepareProgram, arguments...)
	made, err := template.ParsePreparation([]byte(printed))
	require.NoError(t, err, printed)
	require.Equal(t, made.Failure == "", status == 0, printed)
	return made
}

// execute runs a program as a user, and returns all that it printed and its status.
func (g *guest) execute(t *testing.T, user, program string, arguments ...string) (printed string, status int32) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), answerTimeout)
	defer cancel()
	request := connect.NewRequest(&process.StartRequest{Process: &process.ProcessConfig{Cmd: program, Args: arguments}})
	request.Header().Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user+":")))
	stream, err := processconnect.NewProcessClient(g.envd.HTTPClient(), g.envd.BaseURL()).Start(ctx, request)
	require.NoError(t, err, program)
	defer stream.Close()
	var output strings.Builder
	ended := false
	for stream.Receive() {
		event := stream.Msg().GetEvent()
		output.Write(event.GetData().GetStdout())
		output.Write(event.GetData().GetStderr())
		if end := event.GetEnd(); end != nil {
			ended, status = true, end.GetExitCode()
		}
	}
	require.NoError(t, stream.Err(), "%s %s", program, arguments)
	require.True(t, ended, "%s did not end", program)
	return strings.TrimSpace(output.String()), status
}

func (g *guest) runProgram(t *testing.T, user, program string, arguments ...string) string {
	t.Helper()
	printed, status := g.execute(t, user, program, arguments...)
	require.Zero(t, status, "%s %s: %s", program, arguments, printed)
	return printed
}

// sdk runs a command as SDKs do.
func (g *guest) sdk(t *testing.T, command string) string {
	t.Helper()
	return g.runProgram(t, "user", "/bin/bash", "-l", "-c", command)
}
