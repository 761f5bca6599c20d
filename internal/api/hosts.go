package api

import (
	"context"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/service/fleet"
)

// Hosts is the service behind the routes of hosts and nodes.
type Hosts interface {
	CreateToken(ctx context.Context, tags []string, lifetime time.Duration) (string, rows.HostToken, error)
	Join(ctx context.Context, joining fleet.Joining) (fleet.Membership, error)
	Renew(ctx context.Context, certificate, request, signature []byte) (fleet.Membership, error)
	List(ctx context.Context) ([]rows.ListHostLoadsRow, error)
	Get(ctx context.Context, hostID uuid.UUID) (rows.GetHostLoadRow, error)
	Drain(ctx context.Context, hostID uuid.UUID) error
	Undrain(ctx context.Context, hostID uuid.UUID) error
	Retire(ctx context.Context, hostID uuid.UUID, force bool) error
	Revoke(ctx context.Context, hostID uuid.UUID) error
}

func (s *Server) routeHosts(router chi.Router) {
	router.Post("/hosts/tokens", s.handle(s.createHostToken))
	router.Post("/hosts/join", s.handle(s.joinHost))
	router.Post("/hosts/renew", s.handle(s.renewHost))
	router.Get("/hosts", s.handle(s.listHosts))
	router.Get("/hosts/{hostID}", s.handle(s.getHost))
	router.Delete("/hosts/{hostID}", s.handle(s.retireHost))
	router.Post("/hosts/{hostID}/drain", s.handle(s.drainHost))
	router.Post("/hosts/{hostID}/undrain", s.handle(s.undrainHost))
	router.Post("/hosts/{hostID}/revoke", s.handle(s.revokeHost))
	router.Get("/nodes", s.handle(s.listNodes))
	router.Get("/nodes/{nodeID}", s.handle(s.getNode))
	router.Post("/nodes/{nodeID}", s.handle(s.changeNode))
}

// defaultTokenLifetime is for a person who copies the token to a machine now.
const defaultTokenLifetime = int32(time.Hour / time.Second)

func (s *Server) createHostToken(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Tags            []string `json:"tags"`
		LifetimeSeconds *int32   `json:"lifetimeSeconds"`
	}
	if err := decode(r, &body); err != nil {
		return err
	}
	lifetime := time.Duration(orDefault(body.LifetimeSeconds, defaultTokenLifetime)) * time.Second
	token, row, err := s.Hosts.CreateToken(r.Context(), body.Tags, lifetime)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, struct {
		ID        uuid.UUID `json:"id"`
		Token     string    `json:"token"`
		Tags      []string  `json:"tags"`
		ExpiresAt time.Time `json:"expiresAt"`
	}{row.ID, token, row.Tags, row.ExpiresAt.UTC()})
	return nil
}

// membership is what a host is answered that has joined or renewed. Bytes are
// DER, in base64.
type membership struct {
	HostID      uuid.UUID `json:"hostID"`
	Certificate []byte    `json:"certificate"`
	Authority   []byte    `json:"authority"`
	ExpiresAt   time.Time `json:"expiresAt"`
}

func (s *Server) joinHost(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Token   string `json:"token"`
		Name    string `json:"name"`
		Address string `json:"address"`
		Request []byte `json:"request"`
	}
	if err := decode(r, &body); err != nil {
		return err
	}
	member, err := s.Hosts.Join(r.Context(), fleet.Joining(body))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, membership(member))
	return nil
}

func (s *Server) renewHost(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Certificate []byte `json:"certificate"`
		Request     []byte `json:"request"`
		Signature   []byte `json:"signature"`
	}
	if err := decode(r, &body); err != nil {
		return err
	}
	member, err := s.Hosts.Renew(r.Context(), body.Certificate, body.Request, body.Signature)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, membership(member))
	return nil
}

// hostAnswer is a host with how full it is.
type hostAnswer struct {
	HostID         uuid.UUID           `json:"hostID"`
	Name           string              `json:"name"`
	Address        string              `json:"address"`
	Tags           []string            `json:"tags"`
	State          lifecycle.HostState `json:"state"`
	StateChangedAt time.Time           `json:"stateChangedAt"`
	LastSeenAt     *time.Time          `json:"lastSeenAt"`
	Version        string              `json:"version"`
	Driver         string              `json:"driver"`
	Accelerator    string              `json:"accelerator"`
	CPUCount       int32               `json:"cpuCount"`
	MemoryMB       int64               `json:"memoryMB"`
	DiskMB         int64               `json:"diskMB"`
	SandboxCount   int32               `json:"sandboxCount"`
	PausedCount    int32               `json:"pausedCount"`
	FailedCount    int32               `json:"failedCount"`
	Allocated      resources           `json:"allocated"`
	Capacity       resources           `json:"capacity"`
}

type resources struct {
	CPUCount int64 `json:"cpuCount"`
	MemoryMB int64 `json:"memoryMB"`
	DiskMB   int64 `json:"diskMB"`
}

const mebibyte = 1 << 20

func hostOf(row rows.GetHostLoadRow) hostAnswer {
	h, load := row.Host, row.HostLoad
	return hostAnswer{
		HostID: h.ID, Name: h.Name, Address: h.Address, Tags: h.Tags, State: h.State, StateChangedAt: h.StateChangedAt.UTC(),
		LastSeenAt: h.LastSeenAt, Version: h.Version, Driver: h.Driver, Accelerator: h.Accelerator,
		CPUCount: h.CPUCount, MemoryMB: h.MemoryTotalBytes / mebibyte, DiskMB: h.DiskTotalBytes / mebibyte,
		SandboxCount: load.SandboxCount, PausedCount: row.PausedCount, FailedCount: row.FailedCount,
		Allocated: resources{load.VCPUAllocated, load.MemoryMiBAllocated, load.DiskMiBAllocated},
		Capacity:  resources{load.VCPUCapacity, load.MemoryMiBCapacity, load.DiskMiBCapacity},
	}
}

func (s *Server) listHosts(w http.ResponseWriter, r *http.Request) error {
	found, err := s.Hosts.List(r.Context())
	if err != nil {
		return err
	}
	hosts := make([]hostAnswer, 0, len(found))
	for _, row := range found {
		hosts = append(hosts, hostOf(rows.GetHostLoadRow(row)))
	}
	writeJSON(w, http.StatusOK, hosts)
	return nil
}

func (s *Server) getHost(w http.ResponseWriter, r *http.Request) error {
	hostID, err := hostParam(r, "hostID")
	if err != nil {
		return err
	}
	row, err := s.Hosts.Get(r.Context(), hostID)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, hostOf(row))
	return nil
}

// hostParam reads a host's ID from the path; what is none names no host.
func hostParam(r *http.Request, name string) (uuid.UUID, error) {
	hostID, err := uuid.Parse(chi.URLParam(r, name))
	if err != nil {
		return uuid.Nil, fault.New(fault.Invalid, "%s is not a UUID", name)
	}
	return hostID, nil
}

// changeHost is a handler that does one thing to the host of its path.
func changeHost(w http.ResponseWriter, r *http.Request, change func(context.Context, uuid.UUID) error) error {
	if err := decode(r, &struct{}{}); err != nil {
		return err
	}
	hostID, err := hostParam(r, "hostID")
	if err != nil {
		return err
	}
	return noContent(w, change(r.Context(), hostID))
}

func (s *Server) drainHost(w http.ResponseWriter, r *http.Request) error {
	return changeHost(w, r, func(ctx context.Context, hostID uuid.UUID) error { return s.Hosts.Drain(ctx, hostID) })
}

func (s *Server) undrainHost(w http.ResponseWriter, r *http.Request) error {
	return changeHost(w, r, func(ctx context.Context, hostID uuid.UUID) error { return s.Hosts.Undrain(ctx, hostID) })
}

func (s *Server) revokeHost(w http.ResponseWriter, r *http.Request) error {
	return changeHost(w, r, func(ctx context.Context, hostID uuid.UUID) error { return s.Hosts.Revoke(ctx, hostID) })
}

func (s *Server) retireHost(w http.ResponseWriter, r *http.Request) error {
	force := r.URL.Query().Get("force") == "true"
	return changeHost(w, r, func(ctx context.Context, hostID uuid.UUID) error { return s.Hosts.Retire(ctx, hostID, force) })
}
