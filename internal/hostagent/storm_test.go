package hostagent

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/leakcheck"
)

const (
	stormSandbox = "istorm00000000000001"
	// usualRounds keeps make test short; make storm asks for a hundred.
	usualRounds = 6
	// clockTolerance is by how much a guest's clock may be wrong after a resume: envdclient
	// sets the clock again if that took longer than a quarter of a second.
	clockTolerance = 300 * time.Millisecond
)

// TestStorm pauses and resumes one sandbox at random moments while commands
// write, files are uploaded and watched, and servers come and go in it.
func TestStorm(t *testing.T) {
	dataDir := dataDir(t)
	rounds, random := stormSettings(t)
	before, err := leakcheck.Take()
	require.NoError(t, err)
	a := startAgent(t, dataDir)
	t.Cleanup(func() { a.abort(t) })
	require.NoError(t, a.create(t.Context(), stormSandbox))
	agent := a.run(t, stormSandbox, agentIdentity)

	ctx, endStorm := context.WithCancel(t.Context())
	writers := []*writer{a.startWriter(t, "0.01"), a.startWriter(t, "0.1")}
	uploads := a.startUploads(ctx, random.Uint64())
	servers := a.startServers(t, random)
	for round := range rounds {
		began := time.Now()
		watched := a.watch(t, stormSandbox, round)
		servers.change(t)
		<-time.After(time.Duration(random.IntN(300)) * time.Millisecond) // the random moment
		a.pause(t, stormSandbox)
		watched.requireEnded(t)
		<-time.After(time.Duration(random.IntN(100)) * time.Millisecond)
		a.resume(t, stormSandbox)
		a.requireRightClock(t, stormSandbox)
		require.Equal(t, agent, a.run(t, stormSandbox, agentIdentity), "envd was started again in round %d", round)
		t.Logf("round %d took %s", round, time.Since(began))
	}
	servers.requireForwarded(t)
	endStorm()
	uploads.requireWhole(t)
	a.run(t, stormSandbox, "touch "+stopFile)
	for _, w := range writers {
		w.requireComplete(t)
	}
	a.kill(t, stormSandbox)
	a.shutDown(t)
	requireNothingLeft(t, before, dataDir)
}

// stormSettings reads the number of rounds and the seed from the environment.
func stormSettings(t *testing.T) (rounds int, random *rand.Rand) {
	t.Helper()
	rounds, seed := usualRounds, uint64(time.Now().UnixNano())
	var err error
	if text := os.Getenv("WRENN_TEST_STORM_ROUNDS"); text != "" {
		rounds, err = strconv.Atoi(text)
		require.NoError(t, err, "WRENN_TEST_STORM_ROUNDS")
	}
	if text := os.Getenv("WRENN_TEST_STORM_SEED"); text != "" {
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err, "WRENN_TEST_STORM_SEED")
	}
	t.Logf("%d rounds; the same again: WRENN_TEST_STORM_SEED=%d", rounds, seed)
	return rounds, rand.New(rand.NewPCG(seed, 0))
}

// agentIdentity prints envd's process ID and start time, which change if it ends.
const agentIdentity = `grep -lx envd /proc/[0-9]*/comm 2>/dev/null | while read f; do cut -d' ' -f1,22 ${f%comm}stat; done`

// forwarderList prints a line with the arguments of each socat.
const forwarderList = `grep -lx socat /proc/[0-9]*/comm 2>/dev/null | while read f; do tr '\0' ' ' <${f%comm}cmdline; echo; done`

func (a *agentUnderTest) requireRightClock(t *testing.T, id string) {
	t.Helper()
	began := time.Now()
	output := a.run(t, id, "date +%s%N")
	ended := time.Now()
	nanoseconds, err := strconv.ParseInt(output, 10, 64)
	require.NoError(t, err)
	guest := time.Unix(0, nanoseconds)
	require.True(t, guest.After(began.Add(-clockTolerance)) && guest.Before(ended.Add(clockTolerance)),
		"the guest's clock says %s between %s and %s", guest.UTC(), began.UTC(), ended.UTC())
}

// servers is a program in the guest that opens and closes loopback ports on request.
type servers struct {
	agent  *agentUnderTest
	random *rand.Rand
	open   map[int]bool
}

const (
	firstPort  = 9100
	portCount  = 4
	serverCode = `
import os, socket, time
listening = {}
while True:
    try: wanted = set(int(p) for p in open("/tmp/ports").read().split())
    except (OSError, ValueError): wanted = set(listening)
    for port in list(listening):
        if port not in wanted: listening.pop(port).close()
    for port in wanted - set(listening):
        server = socket.socket(); server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", port)); server.listen(); listening[port] = server
    time.sleep(0.05)
`
)

func (a *agentUnderTest) startServers(t *testing.T, random *rand.Rand) *servers {
	t.Helper()
	a.run(t, stormSandbox, fmt.Sprintf("cat > /tmp/servers.py <<'END'\n%s\nEND\npython3 /tmp/servers.py >/tmp/servers.log 2>&1 &", serverCode))
	return &servers{agent: a, random: random, open: map[int]bool{}}
}

// change opens or closes one port.
func (s *servers) change(t *testing.T) {
	t.Helper()
	port := firstPort + s.random.IntN(portCount)
	s.open[port] = !s.open[port]
	var wanted []string
	for port, open := range s.open {
		if open {
			wanted = append(wanted, strconv.Itoa(port))
		}
	}
	s.agent.run(t, stormSandbox, fmt.Sprintf("echo %s > /tmp/ports.new; mv /tmp/ports.new /tmp/ports", strings.Join(wanted, " ")))
}

// requireForwarded fails the test unless each open port has exactly one socat.
func (s *servers) requireForwarded(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		found := s.agent.run(t, stormSandbox, forwarderList)
		if s.matches(found) {
			return
		}
		require.True(t, time.Now().Before(deadline), "open ports: %v; forwarders:\n%s", s.open, found)
		<-time.After(100 * time.Millisecond)
	}
}

func (s *servers) matches(forwarders string) bool {
	expected := 0
	for port := firstPort; port < firstPort+portCount; port++ {
		if count := strings.Count(forwarders, fmt.Sprintf("TCP4-LISTEN:%d,", port)); s.open[port] {
			expected++
			if count != 1 {
				return false
			}
		}
	}
	return strings.Count(forwarders, "TCP4-LISTEN:") == expected
}
