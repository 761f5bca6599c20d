package doctor

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// options describe an installation in an empty directory on a free port.
func options(t *testing.T) Options {
	t.Helper()
	directory := t.TempDir()
	envd := filepath.Join(directory, "envd")
	require.NoError(t, os.WriteFile(envd, []byte("#!/bin/sh\necho 0.6.4\n"), 0o755))
	return Options{
		DataDir: filepath.Join(directory, "data"), CacheDir: filepath.Join(directory, "cache"),
		Listen: "127.0.0.1:0", EnvdPath: envd,
	}
}

func TestExamine_NamesEveryCheckAndAFixForEachFailure(t *testing.T) {
	t.Parallel()
	results := Examine(t.Context(), options(t))
	require.Len(t, results, len(checks))
	for _, result := range results {
		require.NotEmpty(t, result.Name)
		require.NotEmpty(t, result.Detail, result.Name)
		require.Contains(t, []Status{OK, Warn, Fail}, result.Status, result.Name)
		if result.Status == Fail {
			require.NotEmpty(t, result.Fix, result.Name)
		}
		require.NotContains(t, result.Detail+result.Fix, "\n", result.Name)
	}
}

func TestCheckPort_OfATakenPortSaysWhichAndHowToSeeByWhom(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	o := options(t)
	o.Listen = listener.Addr().String()
	result := checkPort(t.Context(), o)
	require.Equal(t, Fail, result.Status)
	require.Contains(t, result.Detail, o.Listen)
	require.Contains(t, result.Fix, "ss -ltnp")

	o.Running = true
	require.Equal(t, OK, checkPort(t.Context(), o).Status)
}

func TestCheckPort_RefusesWhatIsNoAddress(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "3000", "localhost", "127.0.0.1:", "127.0.0.1:http:x", "203.0.113.9:3000", "127.0.0.1:70000"} {
		result := checkPort(t.Context(), Options{Listen: address})
		require.Equal(t, Fail, result.Status, address)
		require.Contains(t, result.Fix, "--listen", address)
	}
}

func TestCheckDiskSpace_SaysWhatIsMissingAndWhere(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	o := options(t)
	require.NoError(t, os.Mkdir(o.DataDir, 0o755))
	require.NoError(t, unix.Mount("tmpfs", o.DataDir, "tmpfs", 0, "size=16m"))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(o.DataDir, 0)) })
	result := checkDiskSpace(t.Context(), o)
	require.Equal(t, Fail, result.Status)
	require.Contains(t, result.Detail, "not enough space on "+o.DataDir)
	require.Contains(t, result.Fix, "--data-dir")
}

func TestCheckDataDir_RefusesWhereTheSystemUserCannotPass(t *testing.T) {
	t.Parallel()
	o := options(t)
	closed := filepath.Dir(o.DataDir)
	require.NoError(t, os.Chmod(closed, 0o700))
	result := checkDataDir(t.Context(), o)
	require.Equal(t, Fail, result.Status)
	require.Contains(t, result.Fix, "chmod o+x "+closed)

	require.NoError(t, os.WriteFile(o.DataDir, nil, 0o644))
	require.Contains(t, checkDataDir(t.Context(), o).Detail, "not a directory")
}

func TestCheckEnvd_SaysHowToGetIt(t *testing.T) {
	t.Parallel()
	o := options(t)
	require.Equal(t, "0.6.4 in "+o.EnvdPath, checkEnvd(t.Context(), o).Detail)
	o.EnvdPath = "/nowhere/envd"
	result := checkEnvd(t.Context(), o)
	require.Equal(t, Fail, result.Status)
	require.Contains(t, result.Fix, "make build")
}

func TestRequirementError_IsOneLineWithTheFix(t *testing.T) {
	t.Parallel()
	require.EqualError(t, &RequirementError{fail("run it with sudo", "not running as root")}, "not running as root; run it with sudo")
	require.EqualError(t, &RequirementError{fail("", "no way")}, "no way")
}

func TestRequireAll_StopsAtTheFirstFailureAndPassesWarnings(t *testing.T) {
	t.Parallel()
	always := func(result Result) func(context.Context, Options) Result {
		return func(context.Context, Options) Result { return result }
	}
	err := requireAll(t.Context(), Options{}, []check{
		{"a", always(warn("", "slow"))}, {"b", always(fail("", "missing"))}, {"c", always(fail("", "also missing"))},
	})
	var failure *RequirementError
	require.ErrorAs(t, err, &failure)
	require.Equal(t, "b", failure.Name)
}

func TestPackageList_IsWhollyUnderstood(t *testing.T) {
	t.Parallel()
	packages := 0
	for line := range strings.Lines(packageList) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Fields(line)
		require.Len(t, fields, 3, line)
		require.Contains(t, []string{"run", "test"}, fields[0], line)
		packages++
	}
	require.NotZero(t, packages)
}

func TestCheckFirecracker(t *testing.T) {
	install := func(t *testing.T, programs ...string) {
		t.Helper()
		directory := t.TempDir()
		for _, program := range programs {
			require.NoError(t, os.Symlink("/bin/sh", filepath.Join(directory, program)))
		}
		t.Setenv("PATH", directory)
	}
	required := Options{Driver: "firecracker"}
	t.Run("a dynamically linked one is refused with the reason", func(t *testing.T) {
		install(t, "firecracker", "jailer")
		result := checkFirecracker(t.Context(), Options{})
		require.Equal(t, Warn, result.Status)
		require.Contains(t, result.Detail, "dynamically linked")
		require.Contains(t, result.Fix, "statically linked")
		result = checkFirecracker(t.Context(), required)
		require.Equal(t, Fail, result.Status)
		require.Contains(t, result.Detail, "dynamically linked")
	})
	t.Run("a missing one is needed only if it is asked for", func(t *testing.T) {
		install(t)
		require.Equal(t, OK, checkFirecracker(t.Context(), Options{}).Status)
		require.Equal(t, Fail, checkFirecracker(t.Context(), required).Status)
	})
}
