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
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"git.omukk.dev/wrenn/sandbox/envd/internal/api"
	"git.omukk.dev/wrenn/sandbox/envd/internal/boot"
	"git.omukk.dev/wrenn/sandbox/envd/internal/buildstep"
	"git.omukk.dev/wrenn/sandbox/envd/internal/cgroups"
	"git.omukk.dev/wrenn/sandbox/envd/internal/host"
	"git.omukk.dev/wrenn/sandbox/envd/internal/mmds"
	"git.omukk.dev/wrenn/sandbox/envd/internal/module"
	"git.omukk.dev/wrenn/sandbox/envd/internal/port"
	"git.omukk.dev/wrenn/sandbox/envd/internal/prepare"
)

// Version is the version of the API, by which clients choose the features they use.
const Version = "0.6.4"

const readHeaderTimeout = 30 * time.Second

func main() {
	// The program has several names: that of the guest agent, and those of programs that
	// Wrenn's directory has beside it.
	switch name := filepath.Base(os.Args[0]); {
	case len(os.Args) > 1 && os.Args[1] == buildstep.Argument:
		os.Exit(buildstep.Main(context.Background(), os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	case name == "init" && os.Getpid() == 1 && len(os.Args) > 1 && os.Args[1] == boot.GVisor:
		boot.InitGVisor()
	case name == "init" && os.Getpid() == 1:
		boot.Init()
	case name == "modprobe":
		os.Exit(module.Modprobe(module.Bundle, os.Args[1:], os.Stderr))
	case name == "socat":
		os.Exit(port.Relay(os.Args[1:], os.Stderr))
	case name == "prepare":
		os.Exit(prepare.Run(os.Args[1:], os.Stdout))
	case name == host.VolumeProgram:
		os.Exit(host.RunVolumeProgram(os.Args[1:], os.Stderr))
	default:
		serveClients()
	}
}

// serveClients is the guest agent.
func serveClients() {
	version := flag.Bool("version", false, "print the version and exit")
	listenPort := flag.Int("port", 49983, "port to listen on, on all addresses")
	flag.Parse()
	if *version {
		fmt.Println(Version)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	if err := run(ctx, *listenPort, log); err != nil {
		log.Error("envd ended", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, listenPort int, log *slog.Logger) error {
	protect(log)
	var config net.ListenConfig
	// The host does not use MPTCP, for which each connection would probe.
	config.SetMultipathTCP(false)
	listener, err := config.Listen(ctx, "tcp", net.JoinHostPort("", strconv.Itoa(listenPort)))
	if err != nil {
		return err
	}
	groups := openGroups(log)
	defer groups.Close()
	return serve(ctx, listener, groups, log)
}

func openGroups(log *slog.Logger) *cgroups.Groups {
	if boot.UnderGVisor() {
		return cgroups.None(log)
	}
	return cgroups.Open(log)
}

// machine is the guest that envd runs in.
func machine() api.Machine {
	if boot.UnderGVisor() {
		return host.GVisor{}
	}
	return host.Machine{}
}

// serve serves until the context ends.
func serve(ctx context.Context, listener net.Listener, groups *cgroups.Groups, log *slog.Logger) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Protocols: protocols, ReadHeaderTimeout: readHeaderTimeout,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	config := api.Config{
		Machine: machine(), Groups: groups, Ports: port.New(outsideAddress(log), groups, log),
		Connections: server, Log: log,
	}
	if metadata := mmds.Find(); metadata != nil {
		config.Metadata = metadata
	}
	handler := api.New(config)
	defer handler.Close()
	server.Handler = handler
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	log.InfoContext(ctx, "envd is listening", "version", Version, "address", listener.Addr().String())
	var err error
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

// outsideAddress is the guest's address on its network.
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

// protect keeps the kernel from killing envd when the guest runs out of memory: without
// envd the guest cannot be reached.
func protect(log *slog.Logger) {
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0); err != nil {
		log.Warn("envd may be killed when memory runs out", "error", err)
	}
}
