// Package fleet lets machines join the fleet as hosts, follows what they say of
// themselves, and takes them out again.
package fleet

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"git.omukk.dev/wrenn/sandbox/pkg/authority"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/validate"
)

const (
	// tokenPrefix starts the tokens by which hosts join.
	tokenPrefix = "wrh_"
	tokenBytes  = 32
	// maxTokenLifetime bounds how long a token may lie about.
	maxTokenLifetime = 7 * 24 * time.Hour
)

// Overcommit is how many times over what a host has may be promised.
type Overcommit struct{ VCPUs, Memory, Disk float32 }

// DefaultOvercommit suits sandboxes that are idle most of the time; the host's own
// measure of its memory has the last word.
var DefaultOvercommit = Overcommit{VCPUs: 16, Memory: 4, Disk: 8}

// Service lets machines join the fleet and leave it.
type Service struct {
	pool       *pgxpool.Pool
	authority  *authority.Authority
	sandboxes  *sandboxes.Service
	overcommit Overcommit
	log        *slog.Logger
}

// New makes a Service. signer certifies the hosts that join, which get overcommit.
func New(pool *pgxpool.Pool, signer *authority.Authority, boxes *sandboxes.Service, overcommit Overcommit, log *slog.Logger) *Service {
	return &Service{pool: pool, authority: signer, sandboxes: boxes, overcommit: overcommit, log: log}
}

// CreateToken makes a token that lets one machine join within a time, as a host
// with these tags. Its last part is the authority's fingerprint: by it the machine
// knows the control plane.
func (r *Service) CreateToken(ctx context.Context, tags []string, lifetime time.Duration) (string, Token, error) {
	if lifetime <= 0 || lifetime > maxTokenLifetime {
		return "", Token{}, fault.New(fault.Invalid, "lifetimeSeconds must be from 1 to %d", int(maxTokenLifetime.Seconds()))
	}
	if err := validate.HostTags(tags); err != nil {
		return "", Token{}, err
	}
	secret := make([]byte, tokenBytes)
	_, _ = rand.Read(secret) // never fails
	token := tokenPrefix + hex.EncodeToString(secret) + "_" + hex.EncodeToString(authority.Fingerprint(r.authority.Certificate()))
	stored, err := newStore(r.pool).createToken(ctx, hashToken(token), tags, lifetime)
	if err != nil {
		return "", Token{}, err
	}
	r.log.InfoContext(ctx, "a host may join", "token", stored.ID, "until", stored.ExpiresAt)
	return token, stored, nil
}

func hashToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// Joining is a machine that wants to be a host.
type Joining struct {
	Token string
	// Name is what people call the host, unique in the fleet.
	Name string
	// Address is where control planes reach it, with a port.
	Address string
	// Request is the certificate request of the key that it has made, DER encoded.
	Request []byte
}

func (j Joining) validate() error {
	if err := validate.HostName("name", j.Name); err != nil {
		return err
	}
	name, port, err := net.SplitHostPort(j.Address)
	number, portErr := strconv.ParseUint(port, 10, 16)
	if err != nil || portErr != nil || number == 0 || name == "" || len(name) > 253 || strings.ContainsAny(name, "/@? \x00") {
		return fault.New(fault.Invalid, "address must be a host name or an IP address and a port, such as 10.0.0.7:7070")
	}
	return nil
}

// Membership is what a host needs to be one.
type Membership struct {
	HostID uuid.UUID
	// Certificate and Authority are DER encoded.
	Certificate []byte
	Authority   []byte
	ExpiresAt   time.Time
}

// Join makes a machine a host and uses its token up.
func (r *Service) Join(ctx context.Context, joining Joining) (Membership, error) {
	if err := joining.validate(); err != nil {
		return Membership{}, err
	}
	var member Membership
	err := pgx.BeginFunc(ctx, r.pool, func(tx pgx.Tx) (err error) {
		member, err = r.join(ctx, tx, joining)
		return err
	})
	if err == nil {
		r.log.InfoContext(ctx, "a host has joined", "host", member.HostID, "name", joining.Name, "address", joining.Address)
	}
	return member, err
}

// Errors of the store that its callers turn into what clients are told.
var (
	errNotValid  = errors.New("not valid")
	errNameTaken = errors.New("another host has the name")
)

func (r *Service) join(ctx context.Context, tx pgx.Tx, joining Joining) (Membership, error) {
	store := newStore(tx)
	token, err := store.useToken(ctx, hashToken(joining.Token))
	if errors.Is(err, errNotValid) {
		return Membership{}, fault.New(fault.Unauthenticated, "the token is not valid, or was used already")
	}
	if err != nil {
		return Membership{}, err
	}
	joined, isNew, err := store.join(ctx, joining, token.Tags, r.overcommit)
	if errors.Is(err, errNameTaken) {
		return Membership{}, fault.New(fault.Conflict, "there is a host named %s already; retire it first", joining.Name)
	}
	if err != nil {
		return Membership{}, err
	}
	if _, err := store.revokeCertificates(ctx, joined.ID); err != nil {
		return Membership{}, err
	}
	if err := store.setTokenHost(ctx, token, joined.ID); err != nil {
		return Membership{}, err
	}
	member, err := r.issue(ctx, store, joined.ID, joining.Request)
	if err != nil || !isNew {
		return member, err
	}
	return member, events.RecordAll(ctx, tx, registered(joined))
}

// EnsureLocal returns the host of a name on this machine, and registers it the first
// time.
func EnsureLocal(ctx context.Context, pool *pgxpool.Pool, name string) (Host, error) {
	var local Host
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		ensured, isNew, err := newStore(tx).ensureLocal(ctx, name)
		local = ensured
		if err != nil || !isNew {
			return err
		}
		return events.RecordAll(ctx, tx, registered(ensured))
	})
	return local, err
}

func (r *Service) issue(ctx context.Context, store store, hostID uuid.UUID, request []byte) (Membership, error) {
	certificate, expiresAt, err := r.authority.IssueHost(hostID, request)
	if err != nil {
		return Membership{}, fault.Wrap(fault.Invalid, err, "request must be a certificate request for a P-256 key, signed with it")
	}
	if err := store.addCertificate(ctx, authority.Fingerprint(certificate), hostID, expiresAt); err != nil {
		return Membership{}, err
	}
	return Membership{HostID: hostID, Certificate: certificate, Authority: r.authority.Certificate(), ExpiresAt: expiresAt}, nil
}

// Renew certifies a new key of a host. The request is signed with the key of the
// host's present certificate, which stays valid until it expires: an answer may
// be lost.
func (r *Service) Renew(ctx context.Context, certificate, request, signature []byte) (Membership, error) {
	refused := fault.New(fault.Unauthenticated, "the certificate is not one of a host, is not valid any more, or did not sign this")
	if err := authority.Verify(certificate, request, signature); err != nil {
		return Membership{}, refused
	}
	store := newStore(r.pool)
	hostID, err := store.findCertificate(ctx, authority.Fingerprint(certificate))
	if errors.Is(err, errNotValid) {
		return Membership{}, refused
	}
	if err != nil {
		return Membership{}, err
	}
	member, err := r.issue(ctx, store, hostID, request)
	if err == nil {
		r.log.InfoContext(ctx, "a host has renewed its certificate", "host", hostID)
	}
	return member, err
}

// Check returns an error for a certificate that does not open its host now.
func (r *Service) Check(ctx context.Context, fingerprint []byte) error {
	if _, err := newStore(r.pool).findCertificate(ctx, fingerprint); err != nil {
		return fmt.Errorf("the host's certificate is not valid: %w", err)
	}
	return nil
}

// Revoke ends every certificate of a host, and the connections to it, at once; and
// the validity of the identity tokens that it signed and signs.
func (r *Service) Revoke(ctx context.Context, hostID uuid.UUID) error {
	var revoked int64
	err := pgx.BeginFunc(ctx, r.pool, func(tx pgx.Tx) (err error) {
		store := newStore(tx)
		if revoked, err = store.revokeCertificates(ctx, hostID); err != nil {
			return err
		}
		return store.deleteIdentityKeys(ctx, hostID)
	})
	if err != nil {
		return fmt.Errorf("revoke host %s: %w", hostID, err)
	}
	r.log.InfoContext(ctx, "a host's certificates are revoked", "host", hostID, "count", revoked)
	return nil
}
