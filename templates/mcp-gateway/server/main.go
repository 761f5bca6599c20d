// mcp-gateway runs servers of the Model Context Protocol in a sandbox and offers their
// tools on one port. E2B's SDKs start it where a sandbox is created with the option mcp.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// tokenVariable has the token that clients must bring.
const tokenVariable = "GATEWAY_ACCESS_TOKEN"

// places are where the gateway keeps things; tests have their own.
type places struct {
	servers, token, log, listen string
}

const usage = `usage: mcp-gateway --config JSON      start the gateway with servers, in the background
       mcp-gateway pull SERVER...    install servers ahead of time`

func main() {
	var p places
	config := flag.String("config", "", "servers, as JSON: options by the server's name")
	serving := flag.Bool("serve", false, "serve in the foreground; the configuration comes on standard input")
	flag.StringVar(&p.servers, "servers", "/opt/mcp-gateway", "directory that servers are installed in")
	flag.StringVar(&p.token, "token-file", "/etc/mcp-gateway/.token", "file that the token is written to")
	flag.StringVar(&p.log, "log", "/var/log/mcp-gateway.log", "file for the log, in the background")
	flag.StringVar(&p.listen, "listen", ":50005", "address and port to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := errors.New(usage)
	switch {
	case *serving:
		syscall.CloseOnExec(readyFile) // or its servers would hold it open
		err = serve(ctx, p, os.Stdin, os.NewFile(readyFile, "ready"))
	case *config != "":
		err = background(p, *config)
	case flag.Arg(0) == "pull" && flag.NArg() > 1:
		err = pull(ctx, p, flag.Args()[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mcp-gateway:", err)
		os.Exit(1)
	}
}

// pull installs servers, so that a sandbox starts them without the network.
func pull(ctx context.Context, p places, names []string) error {
	for _, name := range names {
		d, err := define(name, options{})
		if found, has := catalog[name]; has {
			// What it needs to start is not needed yet.
			d, err = definition{name: name, kind: found.kind, source: found.source}, nil
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, "installing", d.source)
		if err := d.installTo(ctx, p.servers); err != nil {
			return err
		}
	}
	return nil
}

// background starts the gateway as a process of its own, and returns once it serves or
// has told why it does not.
func background(p places, config string) error {
	if _, err := parseConfig([]byte(config)); err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the gateway's program: %w", err)
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	defer log.Close()
	reader, writer, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start the gateway: %w", err)
	}
	defer reader.Close()
	child := exec.Command(program, "--serve", "--servers", p.servers, "--token-file", p.token, "--listen", p.listen)
	child.Stdin, child.Stdout, child.Stderr = strings.NewReader(config), log, log
	child.ExtraFiles = []*os.File{writer}
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = child.Start()
	writer.Close()
	if err != nil {
		return fmt.Errorf("start the gateway: %w", err)
	}
	said, err := io.ReadAll(io.LimitReader(reader, 64<<10))
	switch {
	case err != nil:
		return fmt.Errorf("wait for the gateway: %w", err)
	case string(said) == ready:
		return child.Process.Release()
	}
	return errors.Join(errors.New(strings.TrimSpace(string(said))), child.Wait())
}

// readyFile is where the process in the background tells how its start went.
const readyFile = 3

// ready is what the process in the background says when it serves.
const ready = "ready"

// serve starts the servers and serves until ctx ends. It says on told whether it serves.
func serve(ctx context.Context, p places, config io.Reader, told io.WriteCloser) error {
	defer told.Close()
	err := serveUntil(ctx, p, config, told)
	if err != nil {
		fmt.Fprint(told, err)
	}
	return err
}

func serveUntil(ctx context.Context, p places, config io.Reader, told io.WriteCloser) error {
	text, err := io.ReadAll(config)
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	all, err := parseConfig(text)
	if err != nil {
		return err
	}
	token, err := keepToken(p.token)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", p.listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer listener.Close()
	made, err := newGateway(ctx, all, p.servers, os.Stderr)
	if err != nil {
		return err
	}
	defer made.close()
	server := &http.Server{Handler: made.handler(token), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 5 * time.Minute}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	if _, err := io.WriteString(told, ready); err != nil {
		return fmt.Errorf("tell who started the gateway: %w", err)
	}
	told.Close()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	server.Close()
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// keepToken writes the token of the environment, or one of its own, to where the SDKs
// read it: root alone does.
func keepToken(path string) (string, error) {
	token := os.Getenv(tokenVariable)
	if token == "" {
		token = rand.Text()
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", fmt.Errorf("keep the token: %w", err)
	}
	if err := os.WriteFile(path, []byte(token), 0o600); err != nil {
		return "", fmt.Errorf("keep the token: %w", err)
	}
	return token, nil
}
