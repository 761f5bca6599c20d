package firecracker

import (
	"context"
	"fmt"
	"net/http"

	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// Names of devices, which a snapshot remembers.
const (
	diskDevice    = "root"
	networkDevice = "eth0"
)

// Bodies of requests, as far as they are used.
// Source: Firecracker's src/firecracker/swagger/firecracker.yaml.
type (
	machineConfig struct {
		VCPUCount       int  `json:"vcpu_count"`
		MemoryMiB       int  `json:"mem_size_mib"`
		TrackDirtyPages bool `json:"track_dirty_pages"`
	}
	bootSource struct {
		KernelPath    string `json:"kernel_image_path"`
		InitramfsPath string `json:"initrd_path"`
		CommandLine   string `json:"boot_args"`
	}
	drive struct {
		ID         string `json:"drive_id"`
		Path       string `json:"path_on_host"`
		IsRoot     bool   `json:"is_root_device"`
		IsReadOnly bool   `json:"is_read_only"`
		CacheType  string `json:"cache_type"`
	}
	networkInterface struct {
		ID        string       `json:"iface_id"`
		GuestMAC  string       `json:"guest_mac,omitempty"`
		TapDevice string       `json:"host_dev_name,omitempty"`
		Received  *rateLimiter `json:"rx_rate_limiter,omitempty"`
		Sent      *rateLimiter `json:"tx_rate_limiter,omitempty"`
	}
	rateLimiter struct {
		Bandwidth tokenBucket `json:"bandwidth"`
	}
	tokenBucket struct {
		Size                   int64 `json:"size"`
		RefillTimeMilliseconds int64 `json:"refill_time"`
	}
	metadataConfig struct {
		Version    string   `json:"version"`
		Interfaces []string `json:"network_interfaces"`
	}
	action struct {
		Type string `json:"action_type"`
	}
	snapshotToLoad struct {
		DevicesPath     string            `json:"snapshot_path"`
		Memory          memoryBackend     `json:"mem_backend"`
		TrackDirtyPages bool              `json:"track_dirty_pages"`
		Networks        []networkOverride `json:"network_overrides"`
	}
	memoryBackend struct {
		Type string `json:"backend_type"`
		Path string `json:"backend_path"`
	}
	networkOverride struct {
		ID        string `json:"iface_id"`
		TapDevice string `json:"host_dev_name"`
	}
	snapshotToCreate struct {
		Type        string `json:"snapshot_type"`
		DevicesPath string `json:"snapshot_path"`
		MemoryPath  string `json:"mem_file_path"`
	}
	machineState struct {
		State string `json:"state"`
	}
)

// step is one request on the way to a running machine.
type step struct {
	method string
	path   string
	body   any
}

func (a *api) follow(ctx context.Context, steps []step) error {
	for _, step := range steps {
		if err := a.call(ctx, step.method, step.path, step.body, nil); err != nil {
			return err
		}
	}
	return nil
}

// bootSteps describe a machine and start it. Flushes of the disk reach the
// host's, as the guest believes; its dirty pages are tracked from the start.
func bootSteps(spec vmm.Spec, commandLine string) []step {
	return []step{
		{http.MethodPut, "/machine-config", machineConfig{VCPUCount: spec.VCPUCount, MemoryMiB: spec.MemoryMiB, TrackDirtyPages: true}},
		{http.MethodPut, "/boot-source", bootSource{KernelPath: jailKernel, InitramfsPath: jailInitramfs, CommandLine: commandLine}},
		{http.MethodPut, "/drives/" + diskDevice, drive{ID: diskDevice, Path: jailDisk, CacheType: "Writeback"}},
		{http.MethodPut, "/network-interfaces/" + networkDevice, networkInterface{
			ID: networkDevice, GuestMAC: spec.GuestMAC, TapDevice: spec.TapDevice,
			Received: limiter(spec.NetworkBytesPerSecond), Sent: limiter(spec.NetworkBytesPerSecond),
		}},
		{http.MethodPut, "/entropy", struct{}{}},
		{http.MethodPut, "/mmds/config", metadataConfig{Version: "V2", Interfaces: []string{networkDevice}}},
		{http.MethodPut, "/mmds", metadata(spec)},
		{http.MethodPut, "/actions", action{Type: "InstanceStart"}},
	}
}

// load brings a snapshot back and checks that it is of the machine wanted; the
// machine is paused afterwards.
func (a *api) load(ctx context.Context, spec vmm.Spec) error {
	err := a.call(ctx, http.MethodPut, "/snapshot/load", snapshotToLoad{
		DevicesPath: jailDevices, Memory: memoryBackend{Type: "File", Path: jailMemory}, TrackDirtyPages: true,
		Networks: []networkOverride{{ID: networkDevice, TapDevice: spec.TapDevice}},
	}, nil)
	if err != nil {
		return err
	}
	var loaded machineConfig
	if err := a.call(ctx, http.MethodGet, "/machine-config", nil, &loaded); err != nil {
		return err
	}
	if loaded.VCPUCount != spec.VCPUCount || loaded.MemoryMiB != spec.MemoryMiB {
		return fmt.Errorf("the snapshot is of %d CPUs and %d MiB, not of %d and %d",
			loaded.VCPUCount, loaded.MemoryMiB, spec.VCPUCount, spec.MemoryMiB)
	}
	return nil
}

// resumeSteps make a loaded machine what it is now, and start it: what a
// snapshot remembers of identity and limits is another machine's.
func resumeSteps(spec vmm.Spec) []step {
	limit := limiter(spec.NetworkBytesPerSecond)
	if limit == nil {
		limit = &rateLimiter{} // a bucket of no size is no limit
	}
	return []step{
		{http.MethodPut, "/mmds", metadata(spec)},
		{http.MethodPatch, "/network-interfaces/" + networkDevice, networkInterface{ID: networkDevice, Received: limit, Sent: limit}},
		{http.MethodPatch, "/vm", machineState{State: "Resumed"}},
	}
}

// limiter bounds bandwidth, smoothed over a tenth of a second.
func limiter(bytesPerSecond int64) *rateLimiter {
	if bytesPerSecond <= 0 {
		return nil
	}
	const refillMilliseconds = 100
	return &rateLimiter{Bandwidth: tokenBucket{
		Size: max(1, bytesPerSecond*refillMilliseconds/1000), RefillTimeMilliseconds: refillMilliseconds,
	}}
}

// metadata is what the guest is served: never null, which would be refused.
func metadata(spec vmm.Spec) map[string]string {
	if spec.Metadata == nil {
		return map[string]string{}
	}
	return spec.Metadata
}
