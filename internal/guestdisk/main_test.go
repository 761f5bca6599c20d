package guestdisk

import (
	"os"
	"testing"

	"git.omukk.dev/wrenn/sandbox/internal/testhost"
)

// Mounts of the tests are seen by nothing else.
func TestMain(m *testing.M) { os.Exit(testhost.Main(m)) }
