package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	sdkSource         = "js"
	sdkInstallTimeout = 5 * time.Minute
	// Builds boot a VM for each change, which takes its time under emulation.
	sdkFileTimeout = 8 * time.Minute
)

// TestOfficialSDK runs each file of cases in js/src with Node and reports each
// case as a subtest. Two replicas of the control plane answer in turns.
func TestOfficialSDK(t *testing.T) {
	environment := sdkEnvironment(t)
	directory := sdkCases(t)
	files, err := filepath.Glob(filepath.Join(sdkSource, "src", "*.test.ts"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".test.ts")
		t.Run(name, func(t *testing.T) {
			command := exec.Command("node", "--test-reporter=./dist/reporter.js", filepath.Join("dist", name+".test.js"))
			command.Dir, command.Env = directory, environment
			runSDKFile(t, command)
		})
	}
}

// sdkEnvironment starts a second replica and says how SDKs reach the two.
func sdkEnvironment(t *testing.T) []string {
	t.Helper()
	wrenn := running(t)
	log, err := os.Create(filepath.Join(wrenn.DataDir, "logs", "replica.log"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, log.Close()) })
	replica, err := wrenn.StartReplica(t.Context(), log)
	require.NoError(t, err, "its log is %s", log.Name())
	t.Cleanup(func() { require.NoError(t, replica.Stop()) })
	shared.front.serve(t, wrenn.Address, replica.Address)
	t.Cleanup(func() { require.Greater(t, shared.front.requests.Load(), int64(100), "requests that went by turns") })
	return append(append(wrenn.Environment(), shared.images.serve(t)...), "E2B_API_URL="+shared.front.url(), "E2B_SANDBOX_URL="+shared.front.url(),
		"E2B_VOLUME_API_URL="+shared.front.url(), "E2B_DOMAIN="+shared.front.domain())
}

// sdkCasesVariable names the directory with the compiled cases.
const sdkCasesVariable = "WRENN_TEST_SDK_CASES"

// sdkCases returns the directory with the compiled cases.
func sdkCases(t *testing.T) string {
	t.Helper()
	directory := os.Getenv(sdkCasesVariable)
	require.NotEmpty(t, directory, "the cases of the SDK are prepared for root alone")
	return directory
}

// prepareSDKCases installs the locked packages and compiles the cases in a
// directory.
func prepareSDKCases(directory string) ([]string, error) {
	return prepareCases(sdkSource, filepath.Join(directory, "sdk"), sdkCasesVariable)
}

// prepareCases installs the locked packages of a source and compiles its cases in a
// directory, which a variable names.
func prepareCases(source, directory, variable string) ([]string, error) {
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, fmt.Errorf("%s is not installed; run: apt-get install nodejs npm", program)
		}
	}
	if err := os.CopyFS(filepath.Join(directory, "src"), os.DirFS(filepath.Join(source, "src"))); err != nil {
		return nil, fmt.Errorf("copy the cases of %s: %w", source, err)
	}
	for name, from := range map[string]string{
		".npmrc": source, "package.json": source, "package-lock.json": source,
		"tsconfig.json": sdkSource, "src/reporter.ts": sdkSource, // the same for all
	} {
		content, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return nil, fmt.Errorf("copy the cases of %s: %w", source, err)
		}
		if err := os.WriteFile(filepath.Join(directory, name), content, 0o600); err != nil {
			return nil, fmt.Errorf("copy the cases of %s: %w", source, err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), sdkInstallTimeout)
	defer cancel()
	for _, arguments := range [][]string{{"ci"}, {"run", "build"}} {
		command := exec.CommandContext(ctx, "npm", arguments...)
		command.Dir = directory
		if output, err := command.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("npm %s: %w: %s", strings.Join(arguments, " "), err, output)
		}
	}
	return []string{variable + "=" + directory}, nil
}

// sdkEvent is one line of js/src/reporter.ts or python/run.py.
type sdkEvent struct {
	Event string `json:"event"`
	Name  string `json:"name"`
	Error string `json:"error"`
}

// runSDKFile runs one file of cases. Cases run one after the other, so each
// subtest takes as long as its case.
func runSDKFile(t *testing.T, command *exec.Cmd) {
	t.Helper()
	command.Stderr = os.Stderr
	stdout, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	timeout := time.AfterFunc(sdkFileTimeout, func() { _ = command.Process.Kill() })
	defer timeout.Stop()

	events := &sdkEvents{t: t, program: filepath.Base(command.Path), lines: bufio.NewReader(stdout)}
	for {
		event, ok := events.next()
		if !ok {
			break
		}
		if event.Event == "start" {
			t.Run(event.Name, func(t *testing.T) { events.finish(t, event.Name) })
		} else if event.Event == "fail" {
			t.Errorf("outside of any case: %s", event.Error)
		}
	}
	if err := command.Wait(); err != nil && !t.Failed() {
		t.Errorf("%s: %v", command, err)
	}
}

// sdkEvents reads what a reporter prints.
type sdkEvents struct {
	t       *testing.T
	program string
	lines   *bufio.Reader
}

// next returns the next event; other lines are logged as what they are.
func (e *sdkEvents) next() (sdkEvent, bool) {
	for {
		line, err := e.lines.ReadString('\n')
		if line = strings.TrimSpace(line); line != "" {
			var event sdkEvent
			if json.Unmarshal([]byte(line), &event) == nil && event.Event != "" {
				return event, true
			}
			e.t.Logf("%s: %s", e.program, line)
		}
		if err != nil {
			if err != io.EOF {
				e.t.Errorf("read from %s: %v", e.program, err)
			}
			return sdkEvent{}, false
		}
	}
}

// finish waits for the end of a case and makes it the end of a subtest.
func (e *sdkEvents) finish(t *testing.T, name string) {
	t.Helper()
	event, ok := e.next()
	switch {
	case !ok:
		t.Fatalf("%s ended in the middle of this case", e.program)
	case event.Name != name:
		t.Fatalf("%s went on to %q before this case had ended", e.program, event.Name)
	case event.Event == "fail":
		t.Fatal(event.Error)
	case event.Event == "skip":
		t.Skip("skipped there")
	}
}
