package sandbox_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

func TestSecrets_AreInNoLogAndNoMessage(t *testing.T) {
	t.Parallel()
	holder := struct{ Secrets sandbox.Secrets }{sandbox.Secrets{Values: map[string]string{"key": "value"}, Revision: "revision"}}
	var written bytes.Buffer
	slog.New(slog.NewTextHandler(&written, nil)).Info("made", "holder", holder, "secrets", holder.Secrets)
	slog.New(slog.NewJSONHandler(&written, nil)).Info("made", "secrets", holder.Secrets)
	fmt.Fprintf(&written, "%v %+v %#v %s", holder, holder, holder, holder.Secrets)
	require.Contains(t, written.String(), "revision")
	require.NotContains(t, written.String(), "value")
}
