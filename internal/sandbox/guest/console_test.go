package guest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

func TestLastWords_AreThoseAboutTheBoot(t *testing.T) {
	t.Parallel()
	for console, want := range map[string]string{
		"": "",
		"[    0.1] Linux version 6.1\r\n[    0.2] Command line: quiet\r\n":                          "",
		"noise\r\nwrenn: the guest does not boot: the image has a file at /.wrenn\r\n[ 1.0] reboot": "the guest does not boot: the image has a file at /.wrenn",
		"[    1.2] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000009\r\n":     "kernel panic: Attempted to kill init! exitcode=0x00000009",
		"wrenn: one\nwrenn: two\nwrenn: three\nwrenn: four":                                         "two; three; four",
	} {
		require.Equal(t, want, lastWords(console), "%q", console)
	}
}

// speaker is a machine whose guest says one thing.
type speaker struct {
	vmm.Machine

	said chan string
}

func (s speaker) Console(context.Context) (string, error) {
	select {
	case text := <-s.said:
		return text, nil
	default:
		return "", errors.New("the machine has ended")
	}
}

func TestListen_KeepsWhatWasSaidBeforeTheMachineEnded(t *testing.T) {
	t.Parallel()
	said := make(chan string, 1)
	said <- "wrenn: no disk\n"
	g := &Guest{machine: speaker{said: said}}
	heard := g.listen(t.Context())
	require.Eventually(t, func() bool { return len(said) == 0 }, 10*time.Second, 10*time.Millisecond)
	require.Equal(t, "wrenn: no disk\n", heard())
	require.Empty(t, (&Guest{}).listen(t.Context())(), "a driver without a console")
}
