package host_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/host"
)

func TestSecrets_AreInNoLogAndNoMessage(t *testing.T) {
	t.Parallel()
	creation := host.Creation{SandboxID: "s", Secrets: host.Secrets{Values: map[string]string{"key": "value"}, Revision: "revision"}}
	var written bytes.Buffer
	slog.New(slog.NewTextHandler(&written, nil)).Info("made", "creation", creation, "secrets", creation.Secrets)
	slog.New(slog.NewJSONHandler(&written, nil)).Info("made", "secrets", creation.Secrets)
	fmt.Fprintf(&written, "%v %+v %#v %s", creation, creation, creation, creation.Secrets)
	require.Contains(t, written.String(), "revision")
	require.NotContains(t, written.String(), "value")
}
