package firecracker

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// installPrograms puts a firecracker and a jailer on PATH, and nothing else.
func installPrograms(t *testing.T, firecracker string) {
	t.Helper()
	directory := t.TempDir()
	require.NoError(t, os.Symlink(firecracker, filepath.Join(directory, Binary)))
	require.NoError(t, os.WriteFile(filepath.Join(directory, Jailer), []byte("#!/bin/sh\n"), 0o755))
	t.Setenv("PATH", directory)
}

// buildStatic builds a Go program without cgo, which is statically linked.
func buildStatic(t *testing.T) string {
	t.Helper()
	directory := t.TempDir()
	source, program := filepath.Join(directory, "main.go"), filepath.Join(directory, "static")
	require.NoError(t, os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o600))
	build := exec.Command("go", "build", "-o", program, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)
	return program
}

func TestCheckInstalled(t *testing.T) {
	static := buildStatic(t)
	dynamic, err := exec.LookPath("env")
	require.NoError(t, err)
	script := filepath.Join(t.TempDir(), "script")
	require.NoError(t, os.WriteFile(script, []byte("#!/bin/sh\n"), 0o755))

	t.Run("accepts a static firecracker", func(t *testing.T) {
		installPrograms(t, static)
		require.NoError(t, CheckInstalled())
	})
	t.Run("refuses a dynamically linked firecracker", func(t *testing.T) {
		installPrograms(t, dynamic)
		err := CheckInstalled()
		require.ErrorIs(t, err, ErrNotStatic)
		require.ErrorContains(t, err, "is dynamically linked")
		_, err = New(t.Context(), nil)
		require.ErrorIs(t, err, ErrNotStatic)
	})
	t.Run("refuses a script", func(t *testing.T) {
		installPrograms(t, script)
		require.ErrorIs(t, CheckInstalled(), ErrNotStatic)
	})
	t.Run("refuses a missing firecracker", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		require.ErrorIs(t, CheckInstalled(), ErrNotInstalled)
	})
}
