package hostagent

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/authority"
)

// renewCheck is how often the agent checks whether to renew its certificate, and so how
// soon it tries again after a failure.
const renewCheck = time.Hour

// certifier keeps the host's certificate valid.
type certifier struct {
	dataDir string
	log     *slog.Logger
	member  *membership // used by run alone once it runs
	shown   atomic.Pointer[tls.Certificate]
}

func newCertifier(dataDir string, member *membership, log *slog.Logger) (*certifier, error) {
	pair, err := member.pair()
	if err != nil {
		return nil, err
	}
	c := &certifier{dataDir: dataDir, log: log, member: member}
	c.shown.Store(pair)
	return c, nil
}

// certificate returns the certificate for the next handshake.
func (c *certifier) certificate() (*tls.Certificate, error) { return c.shown.Load(), nil }

// run renews the certificate when it is due, until ctx ends.
func (c *certifier) run(ctx context.Context) {
	tick := time.NewTicker(renewCheck)
	defer tick.Stop()
	for {
		if err := c.renewIfDue(ctx, time.Now()); err != nil && ctx.Err() == nil {
			c.log.WarnContext(ctx, "renew the host's certificate, will try again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (c *certifier) renewIfDue(ctx context.Context, now time.Time) error {
	due, err := c.member.renewAt()
	if err != nil || now.Before(due) {
		return err
	}
	old, err := c.member.key()
	if err != nil {
		return err
	}
	key, err := authority.NewKey()
	if err != nil {
		return err
	}
	request, err := authority.NewRequest(key)
	if err != nil {
		return err
	}
	signature, err := authority.Sign(old, request)
	if err != nil {
		return err
	}
	renewed, err := ask(ctx, c.member.Server, "/hosts/renew", map[string]any{
		"certificate": c.member.Certificate, "request": request, "signature": signature,
	}, key)
	if err != nil {
		return err
	}
	if renewed.HostID != c.member.HostID || !bytes.Equal(renewed.Authority, c.member.Authority) {
		return errors.New("the control plane answered with a certificate for another host or of another authority")
	}
	renewed.Server, renewed.Listen = c.member.Server, c.member.Listen
	pair, err := renewed.pair()
	if err != nil {
		return err
	}
	// Written before it is used, so that the certificate in use survives a crash.
	if err := renewed.write(c.dataDir); err != nil {
		return err
	}
	c.member = renewed
	c.shown.Store(pair)
	c.log.InfoContext(ctx, "the host's certificate is renewed")
	return nil
}
