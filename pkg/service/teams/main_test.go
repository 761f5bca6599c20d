package teams_test

import (
	"testing"

	"git.omukk.dev/wrenn/sandbox/pkg/db/dbtest"
	"git.omukk.dev/wrenn/sandbox/pkg/service/servicetest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// fixture is the services over a real database and a host agent for tests.
type fixture struct{ *servicetest.Fixture }

func newFixture(t *testing.T) fixture {
	t.Helper()
	return fixture{servicetest.New(t)}
}
