package cpserver_test

import (
	"testing"

	"git.omukk.dev/wrenn/sandbox/pkg/db/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }
