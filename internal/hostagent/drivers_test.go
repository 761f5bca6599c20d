package hostagent

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// listed is a row of the list of what sandboxes have with each driver.
type listed struct{ feature, verdict, difference, test string }

// readDriverList reads the table of the document.
func readDriverList(t *testing.T) []listed {
	t.Helper()
	content, err := os.ReadFile("../../docs/drivers.md")
	require.NoError(t, err)
	var rows []listed
	for line := range strings.Lines(string(content)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		const cellsOfARow = 6 // with what is outside of the first and last line
		if len(cells) != cellsOfARow || strings.HasPrefix(cells[1], "---") {
			continue
		}
		row := listed{strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2]), strings.TrimSpace(cells[3]), strings.TrimSpace(cells[4])}
		if row.feature != "feature" {
			rows = append(rows, row)
		}
	}
	require.NotEmpty(t, rows)
	return rows
}

func TestDrivers_TheListNamesEachTestOnceAndSaysWhatDiffers(t *testing.T) {
	t.Parallel()
	var named []string
	for _, row := range readDriverList(t) {
		require.Contains(t, []string{"same", "better", "less", "refused"}, row.verdict, row.feature)
		if row.verdict != "same" {
			require.NotEmpty(t, row.difference, "%s is %s and the list does not say how", row.feature, row.verdict)
		}
		if row.test != "" {
			named = append(named, row.test)
		}
	}
	var all []string
	for name := range agentTests {
		all = append(all, name)
	}
	for name := range buildTests {
		all = append(all, name)
	}
	slices.Sort(all)
	slices.Sort(named)
	require.Equal(t, all, named)
}

// holdToList fails a test that was skipped with gVisor though the list says that it is the
// same, unless the list says where else it is seen.
func (a *agentUnderTest) holdToList(t *testing.T, name string) {
	t.Helper()
	if !t.Skipped() || !a.hasLayers() {
		return
	}
	for _, row := range readDriverList(t) {
		if row.test == name && row.verdict == "same" && !strings.Contains(row.difference, "seen in") {
			t.Errorf("%s is the same with gVisor by docs/drivers.md, and its test was skipped", row.feature)
		}
	}
}
