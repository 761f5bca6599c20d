package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	pythonSource = "python"
	// pythonVariable names the interpreter that has the SDK, and noPythonVariable why
	// there is none.
	pythonVariable   = "WRENN_TEST_PYTHON"
	noPythonVariable = "WRENN_TEST_NO_PYTHON"
)

// TestOfficialPythonSDK runs each module of cases in python and reports each case as
// a subtest. Two replicas of the control plane answer in turns.
func TestOfficialPythonSDK(t *testing.T) {
	if reason := os.Getenv(noPythonVariable); reason != "" {
		t.Skip(reason)
	}
	interpreter := os.Getenv(pythonVariable)
	require.NotEmpty(t, interpreter, "the SDK is prepared for root alone")
	environment := append(sdkEnvironment(t), "PYTHONDONTWRITEBYTECODE=1")
	modules, err := filepath.Glob(filepath.Join(pythonSource, "test_*.py"))
	require.NoError(t, err)
	require.NotEmpty(t, modules)
	for _, module := range modules {
		name := strings.TrimSuffix(filepath.Base(module), ".py")
		t.Run(strings.TrimPrefix(name, "test_"), func(t *testing.T) {
			command := exec.Command(interpreter, "run.py", name)
			command.Dir, command.Env = pythonSource, environment
			runSDKFile(t, command)
		})
	}
}

// preparePythonSDK installs the pinned packages in a directory.
func preparePythonSDK(directory string) ([]string, error) {
	python, err := exec.LookPath("python3")
	if err != nil {
		return nil, errors.New("python3 is not installed; run: apt-get install python3 python3-venv")
	}
	// Source: the package's Requires-Python.
	if exec.Command(python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))").Run() != nil {
		return []string{noPythonVariable + "=the Python SDK needs Python 3.11 or newer"}, nil
	}
	directory = filepath.Join(directory, "python")
	ctx, cancel := context.WithTimeout(context.Background(), sdkInstallTimeout)
	defer cancel()
	interpreter := filepath.Join(directory, "bin", "python")
	for _, arguments := range [][]string{
		{python, "-m", "venv", directory},
		{interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r", filepath.Join(pythonSource, "requirements.txt")},
		{interpreter, "-c", "import e2b"},
	} {
		if output, err := exec.CommandContext(ctx, arguments[0], arguments[1:]...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("install the Python SDK: %s: %w: %s", strings.Join(arguments, " "), err, output)
		}
	}
	return []string{pythonVariable + "=" + interpreter}, nil
}
