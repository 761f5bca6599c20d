package hosts

import (
	"context"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/fleet"
)

// defaultTokenLifetime is long enough to copy the token to a machine.
const defaultTokenLifetime = int32(time.Hour / time.Second)

func (h *Handlers) createHostToken(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Tags            []string `json:"tags"`
		LifetimeSeconds *int32   `json:"lifetimeSeconds"`
	}
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	lifetime := time.Duration(request.OrDefault(body.LifetimeSeconds, defaultTokenLifetime)) * time.Second
	token, stored, err := h.Hosts.CreateToken(r.Context(), body.Tags, lifetime)
	if err != nil {
		return err
	}
	respond.JSON(w, http.StatusCreated, struct {
		ID        uuid.UUID `json:"id"`
		Token     string    `json:"token"`
		Tags      []string  `json:"tags"`
		ExpiresAt time.Time `json:"expiresAt"`
	}{stored.ID, token, stored.Tags, stored.ExpiresAt.UTC()})
	return nil
}

// membership is the answer to a host that joins or renews its certificate. Bytes are DER
// in base64.
type membership struct {
	HostID      uuid.UUID `json:"hostID"`
	Certificate []byte    `json:"certificate"`
	Authority   []byte    `json:"authority"`
	ExpiresAt   time.Time `json:"expiresAt"`
}

func (h *Handlers) joinHost(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Token   string `json:"token"`
		Name    string `json:"name"`
		Address string `json:"address"`
		Request []byte `json:"request"`
	}
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	member, err := h.Hosts.Join(r.Context(), fleet.Joining(body))
	if err != nil {
		return err
	}
	respond.JSON(w, http.StatusCreated, membership(member))
	return nil
}

func (h *Handlers) renewHost(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Certificate []byte `json:"certificate"`
		Request     []byte `json:"request"`
		Signature   []byte `json:"signature"`
	}
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	member, err := h.Hosts.Renew(r.Context(), body.Certificate, body.Request, body.Signature)
	if err != nil {
		return err
	}
	respond.JSON(w, http.StatusCreated, membership(member))
	return nil
}

// hostAnswer is a host and its load.
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
	Isolation      sandbox.Isolation   `json:"isolation"`
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

func hostOf(h fleet.LoadedHost) hostAnswer {
	return hostAnswer{
		HostID: h.ID, Name: h.Name, Address: h.Address, Tags: h.Tags, State: h.State, StateChangedAt: h.StateChangedAt.UTC(),
		LastSeenAt: h.LastSeenAt, Version: h.Version, Driver: h.Driver, Accelerator: h.Accelerator, Isolation: h.Isolation(),
		CPUCount: h.CPUCount, MemoryMB: h.MemoryTotalBytes / mebibyte, DiskMB: h.DiskTotalBytes / mebibyte,
		SandboxCount: h.SandboxCount, PausedCount: h.PausedCount, FailedCount: h.FailedCount,
		Allocated: resources{h.Allocated.VCPUs, h.Allocated.MemoryMiB, h.Allocated.DiskMiB},
		Capacity:  resources{h.Capacity.VCPUs, h.Capacity.MemoryMiB, h.Capacity.DiskMiB},
	}
}

func (h *Handlers) listHosts(w http.ResponseWriter, r *http.Request) error {
	found, err := h.Hosts.List(r.Context())
	if err != nil {
		return err
	}
	hosts := make([]hostAnswer, 0, len(found))
	for _, host := range found {
		hosts = append(hosts, hostOf(host))
	}
	respond.JSON(w, http.StatusOK, hosts)
	return nil
}

func (h *Handlers) getHost(w http.ResponseWriter, r *http.Request) error {
	hostID, err := hostParam(r, "hostID")
	if err != nil {
		return err
	}
	found, err := h.Hosts.Get(r.Context(), hostID)
	if err != nil {
		return err
	}
	respond.JSON(w, http.StatusOK, hostOf(found))
	return nil
}

// hostParam reads a host's ID from the path.
func hostParam(r *http.Request, name string) (uuid.UUID, error) {
	hostID, err := uuid.Parse(chi.URLParam(r, name))
	if err != nil {
		return uuid.Nil, fault.New(fault.Invalid, "%s is not a UUID", name)
	}
	return hostID, nil
}

// changeHost handles a request without a body that changes the host in its path.
func changeHost(w http.ResponseWriter, r *http.Request, change func(context.Context, uuid.UUID) error) error {
	if err := request.Decode(r, &struct{}{}); err != nil {
		return err
	}
	hostID, err := hostParam(r, "hostID")
	if err != nil {
		return err
	}
	return respond.NoContent(w, change(r.Context(), hostID))
}

func (h *Handlers) drainHost(w http.ResponseWriter, r *http.Request) error {
	return changeHost(w, r, func(ctx context.Context, hostID uuid.UUID) error { return h.Hosts.Drain(ctx, hostID) })
}

func (h *Handlers) undrainHost(w http.ResponseWriter, r *http.Request) error {
	return changeHost(w, r, func(ctx context.Context, hostID uuid.UUID) error { return h.Hosts.Undrain(ctx, hostID) })
}

func (h *Handlers) revokeHost(w http.ResponseWriter, r *http.Request) error {
	return changeHost(w, r, func(ctx context.Context, hostID uuid.UUID) error { return h.Hosts.Revoke(ctx, hostID) })
}

func (h *Handlers) retireHost(w http.ResponseWriter, r *http.Request) error {
	force := r.URL.Query().Get("force") == "true"
	return changeHost(w, r, func(ctx context.Context, hostID uuid.UUID) error { return h.Hosts.Retire(ctx, hostID, force) })
}
