// Command envd is the agent inside every sandbox: clients run processes and
// move files through it, and the host quiets it for snapshots.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"git.omukk.dev/wrenn/sandbox/envd/internal/api"
	"git.omukk.dev/wrenn/sandbox/envd/internal/host"
	"git.omukk.dev/wrenn/sandbox/envd/internal/port"
)

// Version is what clients decide by which features they may use.
const Version = "0.6.4"

func main() {
	version := flag.Bool("version", false, "print the version and exit")
	listenPort := flag.Int("port", 49983, "port to listen on, on all addresses")
	flag.Parse()
	if *version {
		fmt.Println(Version)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := run(ctx, *listenPort, log); err != nil {
		log.Error("envd ended", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, listenPort int, log *slog.Logger) error {
	protect(log)
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("", strconv.Itoa(listenPort)))
	if err != nil {
		return err
	}
	handler := api.New(machine{}, port.New(outsideAddress(log), log), log)
	defer handler.Close()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: handler, Protocols: protocols, ReadHeaderTimeout: 30 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	log.Info("envd is listening", "version", Version, "address", listener.Addr().String())
	select {
	case err = <-served:
	case <-ctx.Done():
		err = errors.Join(server.Close(), <-served)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// outsideAddress is the guest's own address, as the host reaches it.
func outsideAddress(log *slog.Logger) netip.Addr {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		log.Error("find this machine's addresses", "error", err)
	}
	for _, address := range addresses {
		prefix, err := netip.ParsePrefix(address.String())
		if err == nil && prefix.Addr().Is4() && !prefix.Addr().IsLoopback() {
			return prefix.Addr()
		}
	}
	return netip.IPv4Unspecified()
}

// protect keeps the kernel from choosing envd when the guest runs out of
// memory: without it nobody can even look at the guest.
func protect(log *slog.Logger) {
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0); err != nil {
		log.Warn("envd may be killed when memory runs out", "error", err)
	}
}

// machine is the real one.
type machine struct{}

func (machine) SetClock(now time.Time) error { return host.SetClock(now) }

func (machine) Reseed() error { return host.Reseed() }
