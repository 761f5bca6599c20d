package hostagent

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/network"
)

// tried is what root in a guest does to reach what is not its own. It prints
// what it reached, and "done". {…} are the host's and the neighbour's addresses.
const tried = `
import errno, fcntl, glob, os, socket, struct
host, neighbour, port = %q, %q, %d
def attempt(name, what):
    try:
        if what() is not False: print("reached:", name)
    except (OSError, ValueError):
        pass
def connect(address, port, family=socket.AF_INET, source=None):
    s = socket.socket(family)
    s.settimeout(1)
    if source: s.bind((source, 0))
    s.connect((address, port))
def datagram(address, port, payload=b"from a guest", broadcast=False):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(1)
    if broadcast: s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    s.sendto(payload, (address, port))
    return bool(s.recv(100))

# The host: on its end of the cable, on the addresses it has elsewhere, by its
# database's, agent's and login's ports, and as the router.
for address in host.split() + ["169.254.7.1"]:
    for number in [port, 22, 80, 443, 3000, 5432, 49983, 111, 2049]:
        attempt(f"host {address}:{number}", lambda: connect(address, number))
    attempt(f"host {address} by datagram", lambda: datagram(address, port))

# The neighbour: its agent, its server, its cable.
for number in [49983, 8000, 22]:
    attempt(f"neighbour {neighbour}:{number}", lambda: connect(neighbour, number))
    attempt(f"neighbour as the host {number}", lambda: connect(neighbour, number, source=host.split()[0]))

# Metadata services, link-local and private ranges, shared and special addresses.
for address in ["169.254.169.254", "169.254.170.2", "169.254.1.1", "10.0.0.1", "10.213.0.0", "10.213.0.1", "172.16.0.1",
                "172.17.0.1", "192.168.0.1", "192.168.1.1", "100.64.0.1", "192.0.0.1", "198.18.0.1", "240.0.0.1", "0.0.0.0"]:
    for number in [80, 443, port]:
        if (address, number) != ("0.0.0.0", 49983): attempt(f"{address}:{number}", lambda: connect(address, number))

# Everybody at once.
attempt("broadcast", lambda: datagram("255.255.255.255", port, broadcast=True))
attempt("the cable's broadcast", lambda: datagram("169.254.7.3", port, broadcast=True))
attempt("multicast", lambda: datagram("224.0.0.1", port))

# IPv6.
for address in ["fe80::1%%eth0", "ff02::1%%eth0", "fd00::1", "2001:db8::1", "::ffff:" + host.split()[0]]:
    attempt(f"[{address}]", lambda: connect(address, port, socket.AF_INET6))

# Packets made by hand: as the neighbour, as the host, and claiming their
# addresses on the cable.
def checksum(data):
    total = sum(struct.unpack(f"!{len(data)//2}H", data))
    while total >> 16: total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff
def forged(source, destination):
    udp = struct.pack("!HHHH", *[port] * 2, 8 + 12, 0) + b"from a guest"
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, socket.inet_aton(source), socket.inet_aton(destination))
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    s.sendto(header + udp, (destination, 0))
    return False # whoever hears it tells
def claim(address):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    s.bind(("eth0", 0))
    mac = fcntl.ioctl(s.fileno(), 0x8927, struct.pack("256s", b"eth0"))[18:24]
    arp = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 2, mac, socket.inet_aton(address), b"\xff" * 6, socket.inet_aton(address))
    s.send(b"\xff" * 6 + mac + b"\x08\x06" + arp)
    return False
for address in host.split():
    for source in [neighbour, address, "127.0.0.1", "192.0.2.7"]:
        attempt(f"a packet to {address} as {source}", lambda: forged(source, address))
attempt("a packet to the neighbour as the host", lambda: forged(host.split()[0], neighbour))
for address in [neighbour, host.split()[0], "169.254.7.1"]:
    attempt(f"claiming {address}", lambda: claim(address))

# Ways out of the machine that are not the network.
attempt("vsock", lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).connect((2, port)))
for pattern in ["/dev/vport*", "/dev/virtio-ports/*", "/sys/bus/pci/devices/*", "/dev/kvm", "/sys/firmware/qemu_fw_cfg/by_name/opt/*"]:
    for path in glob.glob(pattern): print("reached:", path)
print("done")
`

// TestIsolation has root in a guest try whatever it can think of.
func TestIsolation(t *testing.T) {
	dataDir := dataDir(t)
	a := startAgent(t, dataDir)
	t.Cleanup(func() { a.abort(t) })
	const guest, neighbour = "iguest00000000000001", "ineighbour0000000002"
	require.NoError(t, a.create(t.Context(), guest))
	mine := hostSides(t, dataDir)
	require.NoError(t, a.create(t.Context(), neighbour))
	a.run(t, neighbour, "nohup python3 -m http.server 8000 >/dev/null 2>&1 & echo")

	port, heard := listenEverywhere(t)
	var addresses []string
	for _, side := range append(mine, hostAddresses(t)...) {
		addresses = append(addresses, side.String())
	}
	target := slotAddress(t, dataDir, neighbour)
	script := fmt.Sprintf(tried, strings.Join(addresses, " "), target, port)
	require.Equal(t, "done", a.run(t, guest, "sudo python3 - <<'END'\n"+script+"\nEND"))
	require.Empty(t, heard(), "the host heard it")
	require.Equal(t, "calm", a.run(t, neighbour, "echo calm"))
	a.kill(t, guest)
	a.kill(t, neighbour)
	a.shutDown(t)
}

// slotAddress is where the host reaches a sandbox's guest.
func slotAddress(t *testing.T, dataDir, id string) netip.Addr {
	t.Helper()
	number, err := strconv.Atoi(strings.TrimPrefix(recordOf(t, dataDir, id).Slot, "wrenn-"))
	require.NoError(t, err)
	address := network.DefaultRange.Addr().Next()
	for range number {
		address = address.Next().Next()
	}
	return address
}

// hostAddresses are those the host has beside its ends of cables.
func hostAddresses(t *testing.T) []netip.Addr {
	t.Helper()
	all, err := net.InterfaceAddrs()
	require.NoError(t, err)
	var found []netip.Addr
	for _, address := range all {
		prefix, err := netip.ParsePrefix(address.String())
		if err == nil && prefix.Addr().Is4() && !prefix.Addr().IsLoopback() && !strings.HasPrefix(prefix.Addr().String(), "10.213.") {
			found = append(found, prefix.Addr())
		}
	}
	return found
}

// listenEverywhere opens the same port of all the host's addresses, in both
// protocols, and tells what came in.
func listenEverywhere(t *testing.T) (port int, heard func() []string) {
	t.Helper()
	stream, err := net.Listen("tcp", "0.0.0.0:0")
	require.NoError(t, err)
	port = stream.Addr().(*net.TCPAddr).Port
	datagrams, err := net.ListenPacket("udp", fmt.Sprintf("0.0.0.0:%d", port))
	require.NoError(t, err)
	var mutex sync.Mutex
	var all []string
	note := func(what string) {
		mutex.Lock()
		defer mutex.Unlock()
		all = append(all, what)
	}
	var listening sync.WaitGroup
	listening.Go(func() {
		for {
			conn, err := stream.Accept()
			if err != nil {
				return
			}
			note("a connection from " + conn.RemoteAddr().String())
			conn.Close()
		}
	})
	listening.Go(func() {
		buffer := make([]byte, 1500)
		for {
			n, from, err := datagrams.ReadFrom(buffer)
			if err != nil {
				return
			}
			note(fmt.Sprintf("%q from %s", buffer[:n], from))
		}
	})
	t.Cleanup(func() {
		_ = stream.Close()
		_ = datagrams.Close()
		listening.Wait()
	})
	// It hears the host itself, so it would hear a guest.
	conn, err := net.Dial("udp", fmt.Sprintf("127.0.0.1:%d", port))
	require.NoError(t, err)
	_, err = io.WriteString(conn, "from the host")
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	told := func() []string {
		mutex.Lock()
		defer mutex.Unlock()
		return all
	}
	require.Eventually(t, func() bool { return len(told()) == 1 }, 10*time.Second, time.Millisecond)
	return port, func() []string { return told()[1:] }
}
