package hostagent

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/network"
)

// tried is a program by which root in a guest tries to reach the host and its neighbour.
// It prints what it reached, and "done". Packets without an answer are seen only at their
// destination.
const tried = `
import errno, fcntl, glob, os, socket, struct
host, host6, neighbour, port = %q, %q, %q, %d
def attempt(name, what):
    try:
        if what() is not False: print("reached:", name)
    except (OSError, ValueError):
        pass
def connect(address, port, family=socket.AF_INET):
    s = socket.socket(family)
    s.settimeout(1)
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
attempt("neighbour by datagram", lambda: datagram(neighbour, port))

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
    return False # seen only at its destination
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
for source in host.split() + [neighbour, "169.254.7.1", "169.254.7.2", "127.0.0.1", "192.0.2.7"]:
    attempt(f"a packet to the neighbour as {source}", lambda: forged(source, neighbour))

# IPv6 as frames, whatever this guest's kernel thinks of it.
def frame6(destination):
    udp = struct.pack("!HHHH", *[port] * 2, 8 + 12, 0) + b"from a guest"
    source, destination = socket.inet_pton(socket.AF_INET6, "fd00::2"), socket.inet_pton(socket.AF_INET6, destination)
    sum = checksum(source + destination + struct.pack("!II", len(udp), 17) + udp)
    udp = udp[:6] + struct.pack("!H", sum) + udp[8:]
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    s.bind(("eth0", 0))
    for hardware in [bytes.fromhex("025752000001"), b"\xff" * 6, b"\x33\x33\x00\x00\x00\x01"]:
        s.send(hardware + bytes.fromhex("025752000002") + b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(udp), 17, 64) + source + destination + udp)
    return False
for address in host6.split() + ["::1", "ff02::1"]:
    attempt(f"a packet to {address}", lambda: frame6(address))
for address in [neighbour, host.split()[0], "169.254.7.1"]:
    attempt(f"claiming {address}", lambda: claim(address))

# Ways out of the machine that are not the network.
attempt("vsock", lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).connect((2, port)))
for pattern in ["/dev/vport*", "/dev/virtio-ports/*", "/sys/bus/pci/devices/*", "/dev/kvm", "/sys/firmware/qemu_fw_cfg/by_name/opt/*"]:
    for path in glob.glob(pattern): print("reached:", path)
print("done")
`

// TestIsolation tries as root in a guest to reach the host and a neighbour.
func TestIsolation(t *testing.T) {
	dataDir := dataDir(t)
	giveHostAddresses(t)
	a := startAgent(t, dataDir)
	t.Cleanup(func() { a.abort(t) })
	const guest, neighbour = "iguest00000000000001", "ineighbour0000000002"
	require.NoError(t, a.create(t.Context(), guest))
	mine := hostSides(t, dataDir)
	require.NoError(t, a.create(t.Context(), neighbour))
	port, heard := listenEverywhere(t)
	target := slotAddress(t, dataDir, neighbour)
	listenInGuest(t, a, neighbour, target, port)
	four, six := hostAddresses(t)
	script := fmt.Sprintf(tried, joined(append(mine, four...)), joined(six), target, port)
	require.Equal(t, "done", a.run(t, guest, "sudo python3 - <<'END'\n"+script+"\nEND"))
	require.Empty(t, heard(), "the host received it")
	require.Equal(t, fromHost, a.run(t, neighbour, "cat /tmp/heard"), "the neighbour received it")
	a.kill(t, guest)
	a.kill(t, neighbour)
	a.shutDown(t)
}

// slotAddress is the address at which the host reaches a sandbox's guest.
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

func joined(addresses []netip.Addr) string {
	var all []string
	for _, address := range addresses {
		all = append(all, address.String())
	}
	return strings.Join(all, " ")
}

// giveHostAddresses gives the host of these tests, which has no network, addresses such as
// those of a machine in a data centre.
func giveHostAddresses(t *testing.T) {
	t.Helper()
	card := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "card0"}, PeerName: "wall0"}
	require.NoError(t, netlink.LinkAdd(card))
	t.Cleanup(func() { require.NoError(t, netlink.LinkDel(card)) })
	for _, text := range []string{"198.51.100.7/24", "172.31.7.7/20", "2001:db8:7::7/64"} {
		address, err := netlink.ParseAddr(text)
		require.NoError(t, err)
		address.Flags = unix.IFA_F_NODAD // its own at once
		require.NoError(t, netlink.AddrAdd(card, address))
	}
	require.NoError(t, netlink.LinkSetUp(card))
}

// hostAddresses are the host's addresses other than those of network slots.
func hostAddresses(t *testing.T) (four, six []netip.Addr) {
	t.Helper()
	all, err := net.InterfaceAddrs()
	require.NoError(t, err)
	for _, address := range all {
		prefix, err := netip.ParsePrefix(address.String())
		switch {
		case err != nil || prefix.Addr().IsLoopback() || strings.HasPrefix(prefix.Addr().String(), "10.213."):
		case prefix.Addr().Is4():
			four = append(four, prefix.Addr())
		default:
			six = append(six, prefix.Addr())
		}
	}
	return four, six
}

const fromHost = "from the host"

// listenInGuest makes a guest serve the ports that another guest tries, and record the
// datagrams that it receives. It must record one of the host, which shows that it would
// record those of another guest.
func listenInGuest(t *testing.T, a *agentUnderTest, id string, address netip.Addr, port int) {
	t.Helper()
	const listener = `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", %d))
while True:
    said = s.recv(100)
    with open("/tmp/heard", "ab") as f: f.write(said)
`
	a.run(t, id, "nohup python3 -m http.server 8000 >/dev/null 2>&1 & echo")
	a.run(t, id, "cat > /tmp/listen.py <<'END'\n"+fmt.Sprintf(listener, port)+"\nEND\nnohup python3 /tmp/listen.py >/dev/null 2>&1 & echo")
	require.Eventually(t, func() bool {
		if a.run(t, id, "cat /tmp/heard 2>/dev/null; true") == fromHost {
			return true
		}
		a.run(t, id, "rm -f /tmp/heard")
		say(t, netip.AddrPortFrom(address, uint16(port)).String())
		return false
	}, time.Minute, time.Second, "the neighbour does not receive from the host")
	require.Eventually(t, func() bool {
		conn, err := net.DialTimeout("tcp", netip.AddrPortFrom(address, 8000).String(), time.Second)
		return err == nil && conn.Close() == nil
	}, time.Minute, 100*time.Millisecond, "the neighbour serves nothing")
}

// say sends a datagram from the host.
func say(t *testing.T, address string) {
	t.Helper()
	conn, err := net.Dial("udp", address)
	require.NoError(t, err)
	_, err = io.WriteString(conn, fromHost)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}

// ears are the host's listeners, and what they received.
type ears struct {
	listening sync.WaitGroup
	mutex     sync.Mutex
	all       []string
}

func (e *ears) note(what string) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.all = append(e.all, what)
}

func (e *ears) heard() []string {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	return slices.Clone(e.all)
}

func (e *ears) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		from, err := netip.ParseAddrPort(conn.RemoteAddr().String())
		if err != nil || network.DefaultRange.Contains(from.Addr().Unmap()) { // not from others on this machine
			e.note(fmt.Sprintf("a connection from %s to %s", from, conn.LocalAddr()))
		}
		conn.Close()
	}
}

func (e *ears) receive(conn net.PacketConn) {
	buffer := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		e.note(fmt.Sprintf("%q from %s", buffer[:n], from))
	}
}

// listen opens a port unless it is in use.
func (e *ears) listen(t *testing.T, family string, port int) (opened int) {
	t.Helper()
	stream, err := net.Listen("tcp"+family, fmt.Sprintf(":%d", port))
	if errors.Is(err, syscall.EADDRINUSE) {
		return 0
	}
	require.NoError(t, err)
	t.Cleanup(func() { _ = stream.Close() })
	e.listening.Go(func() { e.accept(stream) })
	return stream.Addr().(*net.TCPAddr).Port
}

// wellKnown are ports of a host's own services: logins, databases, agents.
var wellKnown = []int{22, 80, 111, 443, 2049, 3000, 5432, 49983}

// listenEverywhere opens a port on all the host's addresses of both families, and the
// well-known ports that are not in use; a guest would reach the service of one that is. The
// function it returns lists what they received.
func listenEverywhere(t *testing.T) (port int, heard func() []string) {
	t.Helper()
	e := new(ears)
	t.Cleanup(e.listening.Wait)
	// Each family has a listener: Go may have detected in a guest's namespace whether the
	// host has both.
	own, families := []string{"127.0.0.1"}, []string{"4"}
	if probe, err := net.Listen("tcp6", "[::1]:0"); err == nil {
		require.NoError(t, probe.Close())
		own, families = append(own, "::1"), append(families, "6")
	}
	port = e.listen(t, "4", 0)
	for _, family := range families {
		for _, number := range wellKnown {
			e.listen(t, family, number)
		}
		if family != "4" {
			require.Equal(t, port, e.listen(t, family, port))
		}
		datagrams, err := net.ListenPacket("udp"+family, fmt.Sprintf(":%d", port))
		require.NoError(t, err)
		t.Cleanup(func() { _ = datagrams.Close() })
		e.listening.Go(func() { e.receive(datagrams) })
	}
	// It receives from the host itself, so it would receive from a guest.
	isOwn := func(heard string) bool { return strings.Contains(heard, fromHost) }
	for _, address := range own {
		fromItself := "from " + strings.TrimSuffix(net.JoinHostPort(address, ""), ":")
		require.Eventually(t, func() bool {
			say(t, net.JoinHostPort(address, strconv.Itoa(port)))
			return slices.ContainsFunc(e.heard(), func(heard string) bool { return isOwn(heard) && strings.Contains(heard, fromItself) })
		}, 10*time.Second, 20*time.Millisecond, "nothing comes to %s port %d", address, port)
	}
	return port, func() []string { return slices.DeleteFunc(e.heard(), isOwn) }
}
