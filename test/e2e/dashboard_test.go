package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	browserSource = "browser"
	// browserCasesVariable names the directory with the compiled cases.
	browserCasesVariable = "WRENN_TEST_BROWSER_CASES"
)

func prepareBrowserCases(directory string) ([]string, error) {
	return prepareCases(browserSource, filepath.Join(directory, browserSource), browserCasesVariable)
}

// TestDashboard_LastsAPersonsFirstHour has a browser do what a person does first. With
// WRENN_TEST_ARTEFACTS it leaves pictures of each page in that directory.
func TestDashboard_LastsAPersonsFirstHour(t *testing.T) {
	directory := os.Getenv(browserCasesVariable)
	require.NotEmpty(t, directory, "the cases of the browser are prepared for root alone")
	wrenn := running(t)
	command := exec.Command("node", "--test-reporter=./dist/reporter.js", filepath.Join("dist", "firsthour.test.js"))
	command.Dir = directory
	command.Env = append(wrenn.Environment(), "WRENN_URL=http://"+wrenn.Domain(), "WRENN_DATA_DIR="+wrenn.DataDir)
	runSDKFile(t, command)
}
