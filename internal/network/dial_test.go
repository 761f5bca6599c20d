package network

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
)

// TestDial_WaitsWithoutThreads has a guest connect to servers that do not answer,
// more of them than its gateway connects to at a time.
func TestDial_WaitsWithoutThreads(t *testing.T) {
	const asked, most, few = 300, 256, 50
	w, _, guest := newPlace(t)
	w.name("good.example", webServer)
	policy := egress.Spec{DenyInternet: true, AllowOut: []string{"*.silent.example", "good.example"}}
	guest.apply(policy)
	before := threads(t)
	var refused atomic.Int32
	var reading sync.WaitGroup
	t.Cleanup(reading.Wait)
	for number := range asked {
		name := fmt.Sprintf("%d.silent.example", number)
		w.name(name, silent)
		conn, err := guest.dial(t.Context(), "tcp4", net.JoinHostPort(silent, "80"))
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: "+name+"\r\n\r\n")
		require.NoError(t, err)
		reading.Go(func() {
			answer := make([]byte, 64)
			if count, _ := conn.Read(answer); strings.Contains(string(answer[:count]), "503") {
				refused.Add(1)
			}
		})
	}
	require.Eventually(t, func() bool { return refused.Load() == asked-most }, patience, time.Millisecond)
	require.Equal(t, most, flows(t, guest.slot.namespaceName(), func(flow *netlink.ConntrackFlow) bool {
		return flow.Forward.SrcIP.String() == guest.slot.Address().String() && flow.Forward.DstIP.String() == silent
	}), "so many dials are under way")
	require.Less(t, threads(t), before+few)
	_, err := guest.get("http://good.example/", webServer)
	require.Error(t, err, "there is no room for more")
	guest.apply(egress.Spec{DenyInternet: true})
	guest.apply(policy) // a gateway that is new
	_, err = guest.get("http://good.example/", webServer)
	require.NoError(t, err)
}

func TestDial_EndsWithItsContext(t *testing.T) {
	_, _, guest := newPlace(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := guest.slot.dial(ctx, "tcp4", net.JoinHostPort(silent, "80"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = guest.slot.dial(t.Context(), "tcp4", net.JoinHostPort(webServer, "81"))
	require.ErrorIs(t, err, unix.ECONNREFUSED)
}

// threads is how many this process has.
func threads(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(status), "\nThreads:")
	count, err := strconv.Atoi(strings.TrimSpace(rest[:strings.IndexByte(rest, '\n')]))
	require.NoError(t, err)
	return count
}

// flows counts the connections that a namespace's kernel knows; "" is the host's.
func flows(t *testing.T, namespace string, match func(*netlink.ConntrackFlow) bool) int {
	t.Helper()
	count := 0
	list := func() error {
		known, err := netlink.ConntrackTableList(netlink.ConntrackTable, unix.AF_INET)
		for _, flow := range known {
			if match(flow) {
				count++
			}
		}
		return err
	}
	if namespace == "" {
		require.NoError(t, list())
	} else {
		require.NoError(t, inNamespace(namespace, list))
	}
	return count
}
