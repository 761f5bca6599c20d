package hosts

import (
	"net/http"
	"runtime"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/fleet"
)

// node is a host in the form of E2B's API.
type node struct {
	Version              string      `json:"version"`
	Commit               string      `json:"commit"`
	ID                   uuid.UUID   `json:"id"`
	ServiceInstanceID    uuid.UUID   `json:"serviceInstanceID"`
	ClusterID            uuid.UUID   `json:"clusterID"`
	MachineInfo          machineInfo `json:"machineInfo"`
	Status               string      `json:"status"`
	StatusChangedAt      time.Time   `json:"statusChangedAt"`
	SandboxCount         int32       `json:"sandboxCount"`
	Metrics              nodeMetrics `json:"metrics"`
	CreateSuccesses      int64       `json:"createSuccesses"`
	CreateFails          int64       `json:"createFails"`
	SandboxStartingCount *int32      `json:"sandboxStartingCount,omitempty"`
	// Isolation is no field of E2B's.
	Isolation sandbox.Isolation `json:"isolation"`
}

type machineInfo struct {
	CPUFamily       string `json:"cpuFamily"`
	CPUModel        string `json:"cpuModel"`
	CPUModelName    string `json:"cpuModelName"`
	CPUArchitecture string `json:"cpuArchitecture"`
}

type nodeMetrics struct {
	AllocatedCPU         int64         `json:"allocatedCPU"`
	CPUPercent           int64         `json:"cpuPercent"`
	CPUCount             int32         `json:"cpuCount"`
	AllocatedMemoryBytes int64         `json:"allocatedMemoryBytes"`
	MemoryUsedBytes      int64         `json:"memoryUsedBytes"`
	MemoryTotalBytes     int64         `json:"memoryTotalBytes"`
	HugePagesTotal       int64         `json:"hugePagesTotal"`
	HugePagesUsed        int64         `json:"hugePagesUsed"`
	HugePagesReserved    int64         `json:"hugePagesReserved"`
	HugePageSizeBytes    int64         `json:"hugePageSizeBytes"`
	Disks                []diskMetrics `json:"disks"`
}

type diskMetrics struct {
	MountPoint     string `json:"mountPoint"`
	Device         string `json:"device"`
	FilesystemType string `json:"filesystemType"`
	UsedBytes      int64  `json:"usedBytes"`
	TotalBytes     int64  `json:"totalBytes"`
}

// nodeStatuses are E2B's names of the states of hosts.
var nodeStatuses = map[lifecycle.HostState]string{
	lifecycle.HostPending: "connecting", lifecycle.HostReady: "ready",
	lifecycle.HostDraining: "draining", lifecycle.HostUnreachable: "unhealthy",
}

func nodeOf(h fleet.LoadedHost) node {
	return node{
		Version: h.Version, Isolation: h.Isolation(), ID: h.ID, ServiceInstanceID: h.ID,
		// All hosts have the control plane's architecture, because templates are built for
		// one.
		MachineInfo: machineInfo{CPUArchitecture: runtime.GOARCH, CPUModelName: h.Driver + " " + h.Accelerator},
		Status:      nodeStatuses[h.State], StatusChangedAt: h.StateChangedAt.UTC(), SandboxCount: h.SandboxCount,
		CreateSuccesses: h.CreateSuccesses, CreateFails: h.CreateFailures,
		Metrics: nodeMetrics{
			AllocatedCPU: h.Allocated.VCPUs, CPUCount: h.CPUCount, AllocatedMemoryBytes: h.Allocated.MemoryMiB * mebibyte,
			MemoryUsedBytes: max(h.MemoryTotalBytes-h.MemoryAvailableBytes, 0), MemoryTotalBytes: h.MemoryTotalBytes,
			Disks: []diskMetrics{{
				UsedBytes: max(h.DiskTotalBytes-h.DiskAvailableBytes, 0), TotalBytes: h.DiskTotalBytes,
			}},
		},
	}
}

func (h *Handlers) listNodes(w http.ResponseWriter, r *http.Request) error {
	found, err := h.Hosts.List(r.Context())
	if err != nil {
		return err
	}
	nodes := make([]node, 0, len(found))
	for _, host := range found {
		listed := nodeOf(host)
		listed.SandboxStartingCount = &host.StartingCount
		nodes = append(nodes, listed)
	}
	respond.JSON(w, http.StatusOK, nodes)
	return nil
}

func (h *Handlers) getNode(w http.ResponseWriter, r *http.Request) error {
	hostID, err := hostParam(r, "nodeID")
	if err != nil {
		return err
	}
	found, err := h.Hosts.Get(r.Context(), hostID)
	if err != nil {
		return err
	}
	respond.JSON(w, http.StatusOK, nodeOf(found))
	return nil
}

// changeNode drains a host, or makes it ready again, as E2B's API does. The other
// statuses are results only.
func (h *Handlers) changeNode(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		ClusterID *uuid.UUID `json:"clusterID"`
		Status    string     `json:"status"`
	}
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	hostID, err := hostParam(r, "nodeID")
	if err != nil {
		return err
	}
	switch body.Status {
	case "draining":
		return respond.NoContent(w, h.Hosts.Drain(r.Context(), hostID))
	case "ready":
		return respond.NoContent(w, h.Hosts.Undrain(r.Context(), hostID))
	case "connecting", "unhealthy", "standby":
		return fault.New(fault.Conflict, "status %s cannot be asked for: a host is made ready or draining", body.Status)
	default:
		return fault.New(fault.Invalid, "status must be ready, draining, connecting, unhealthy or standby")
	}
}
