package hostagent

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/subtle"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/authority"
)

// JoinOptions configure which fleet this machine joins, and how control planes reach it.
type JoinOptions struct {
	DataDir string `env:"WRENN_DATA_DIR" flag:"data-dir" default:"/var/lib/wrenn" help:"directory of everything that must survive"`
	// Server is the control plane's URL. It must be https, since the token is sent to it,
	// unless it is on this machine or Insecure is set.
	Server   string `env:"WRENN_SERVER" flag:"server" help:"URL of the control plane to join"`
	Insecure bool
	Token    string `env:"WRENN_HOST_TOKEN" flag:"token" secret:"true" help:"token that lets this machine join; other users of the machine see a flag, but not a variable"`
	// Name is the host's name; empty for this machine's.
	Name string
	// Address is the address and port at which control planes reach this machine.
	Address string
	// Listen is the address and port on which the agent listens for them; empty for the
	// port of Address on every network.
	Listen string
}

// joinTimeout bounds one request to the control plane.
const joinTimeout = 30 * time.Second

// Join makes this machine a host of a fleet and returns the host's ID. The agent serves
// the fleet's control planes from its next start. A machine can join once.
func Join(ctx context.Context, options JoinOptions) (uuid.UUID, error) {
	pinned, err := options.validate()
	if err != nil {
		return uuid.Nil, err
	}
	if known, err := readMembership(options.DataDir); err != nil || known != nil {
		if known != nil {
			err = fmt.Errorf("this machine is host %s of %s already; to join another fleet remove %s",
				known.HostID, known.Server, membershipPath(options.DataDir))
		}
		return uuid.Nil, err
	}
	if err := os.MkdirAll(options.DataDir, 0o755); err != nil {
		return uuid.Nil, err
	}
	key, err := authority.NewKey()
	if err != nil {
		return uuid.Nil, err
	}
	request, err := authority.NewRequest(key)
	if err != nil {
		return uuid.Nil, err
	}
	member, err := ask(ctx, options.Server, "/hosts/join", map[string]any{
		"token": options.Token, "name": options.Name, "address": options.Address, "request": request,
	}, key)
	if err != nil {
		return uuid.Nil, err
	}
	if subtle.ConstantTimeCompare(authority.Fingerprint(member.Authority), pinned) != 1 {
		return uuid.Nil, errors.New("the control plane is not the one that made the token: its authority is another")
	}
	member.Server, member.Listen = options.Server, options.Listen
	return member.HostID, member.write(options.DataDir)
}

// validate sets defaults and returns the authority's fingerprint, which is part of the
// token.
func (o *JoinOptions) validate() ([]byte, error) {
	server, err := url.Parse(o.Server)
	if err != nil || server.Host == "" || server.Scheme != "https" && server.Scheme != "http" {
		return nil, fmt.Errorf("the server must be a URL such as https://wrenn.example.com, not %q", o.Server)
	}
	if ip := net.ParseIP(server.Hostname()); server.Scheme == "http" && !o.Insecure &&
		server.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, errors.New("the server's URL must be https, since the token lets any machine join")
	}
	_, port, err := net.SplitHostPort(o.Address)
	if err != nil {
		return nil, fmt.Errorf("the address must be a name or an IP address with a port, such as 10.0.0.7:7070: %w", err)
	}
	if o.Listen == "" {
		o.Listen = net.JoinHostPort("", port)
	}
	if o.Name == "" {
		if o.Name, err = os.Hostname(); err != nil {
			return nil, fmt.Errorf("find this machine's name: %w", err)
		}
	}
	pinned, err := hex.DecodeString(o.Token[strings.LastIndexByte(o.Token, '_')+1:])
	if err != nil || !strings.HasPrefix(o.Token, "wrh_") || len(pinned) != len(authority.Fingerprint(nil)) {
		return nil, errors.New("the token is not one that lets a host join")
	}
	return pinned, nil
}

// ask sends a request for a certificate and checks that the answer's certificate is for
// the key.
func ask(ctx context.Context, server, path string, body map[string]any, key *ecdsa.PrivateKey) (*membership, error) {
	content, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(server, "/")+path, bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("the control plane does not answer: %w", err)
	}
	defer response.Body.Close()
	const maxAnswer = 1 << 20
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the control plane's answer: %w", err)
	}
	if response.StatusCode != http.StatusCreated {
		return nil, refusal(response.Status, answer)
	}
	return readAnswer(answer, key)
}

func refusal(status string, answer []byte) error {
	var refused struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(answer, &refused) != nil || refused.Message == "" {
		return fmt.Errorf("the control plane answers %s", status)
	}
	return fmt.Errorf("the control plane refuses: %s", refused.Message)
}

func readAnswer(answer []byte, key *ecdsa.PrivateKey) (*membership, error) {
	var member membership
	if err := json.Unmarshal(answer, &member); err != nil {
		return nil, fmt.Errorf("read the control plane's answer: %w", err)
	}
	certificate, err := x509.ParseCertificate(member.Certificate)
	if err != nil {
		return nil, fmt.Errorf("read the certificate: %w", err)
	}
	root, err := x509.ParseCertificate(member.Authority)
	if err != nil {
		return nil, fmt.Errorf("read the authority's certificate: %w", err)
	}
	if err := certificate.CheckSignatureFrom(root); err != nil {
		return nil, fmt.Errorf("check the certificate: %w", err)
	}
	if !key.PublicKey.Equal(certificate.PublicKey) {
		return nil, errors.New("the certificate is for another key")
	}
	member.Key, err = x509.MarshalECPrivateKey(key)
	return &member, err
}
