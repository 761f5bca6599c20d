package network

import (
	"os"
	"testing"

	"git.omukk.dev/wrenn/sandbox/internal/testhost"
)

func TestMain(m *testing.M) { os.Exit(testhost.Main(m)) }
