package firecracker

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/firecracker-microvm/firecracker-go-sdk/client/models"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// fake answers as Firecracker does and keeps what it was asked.
type fake struct {
	*api
	mutex sync.Mutex
	asked []string // method, path and body
}

// newFake answers 204, and 200 to GET, unless answer does.
func newFake(t *testing.T, answer func(w http.ResponseWriter, r *http.Request) (done bool)) *fake {
	t.Helper()
	directory, err := os.MkdirTemp("", "fc-") //nolint:usetesting // the path of a socket is short
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(directory)) })
	listener, err := net.Listen("unix", filepath.Join(directory, "api.sock"))
	require.NoError(t, err)
	f := &fake{api: newAPI()}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		assert.Empty(t, r.TransferEncoding, "Firecracker's server needs the length of a body")
		f.mutex.Lock()
		f.asked = append(f.asked, strings.TrimSpace(fmt.Sprintf("%s %s %s", r.Method, r.URL.Path, body)))
		f.mutex.Unlock()
		switch {
		case answer != nil && answer(w, r):
		case r.Method == http.MethodGet:
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"vcpu_count":2,"mem_size_mib":512,"smt":false,"track_dirty_pages":true}`)
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		f.close()
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-served, http.ErrServerClosed)
	})
	f.socket, err = os.OpenFile(listener.Addr().String(), unix.O_PATH, 0)
	require.NoError(t, err)
	return f
}

var wanted = vmm.Spec{
	VCPUCount: 2, MemoryMiB: 512, TapDevice: "tap0", GuestMAC: "02:00:00:00:00:01",
	NetworkBytesPerSecond: 1000, Metadata: map[string]string{"instanceID": "ione"},
}

func TestBoot_DescribesTheMachineAndStartsIt(t *testing.T) {
	f := newFake(t, nil)
	require.NoError(t, f.boot(t.Context(), wanted, "quiet"))
	require.Equal(t, []string{
		`PUT /machine-config {"mem_size_mib":512,"track_dirty_pages":true,"vcpu_count":2}`,
		`PUT /boot-source {"boot_args":"quiet","initrd_path":"/initramfs","kernel_image_path":"/kernel"}`,
		`PUT /drives/root {"cache_type":"Writeback","drive_id":"root","is_read_only":false,"is_root_device":false,"path_on_host":"/disk"}`,
		`PUT /network-interfaces/eth0 {"guest_mac":"02:00:00:00:00:01","host_dev_name":"tap0","iface_id":"eth0",` +
			`"rx_rate_limiter":{"bandwidth":{"refill_time":100,"size":100}},"tx_rate_limiter":{"bandwidth":{"refill_time":100,"size":100}}}`,
		`PUT /entropy {}`,
		`PUT /mmds/config {"network_interfaces":["eth0"],"version":"V2"}`,
		`PUT /mmds {"instanceID":"ione"}`,
		`PUT /actions {"action_type":"InstanceStart"}`,
	}, f.asked)
}

func TestRestore_ReplacesWhatTheSnapshotHasOfAnotherMachine(t *testing.T) {
	f := newFake(t, nil)
	spec := wanted
	spec.NetworkBytesPerSecond, spec.Metadata = 0, nil
	require.NoError(t, f.restore(t.Context(), spec))
	require.Equal(t, []string{
		`PUT /snapshot/load {"mem_backend":{"backend_path":"/memory","backend_type":"File"},"snapshot_path":"/devices",` +
			`"track_dirty_pages":true,"network_overrides":[{"iface_id":"eth0","host_dev_name":"tap0"}]}`,
		`GET /machine-config`,
		`PUT /mmds {}`,
		`PATCH /network-interfaces/eth0 {"iface_id":"eth0",` +
			`"rx_rate_limiter":{"bandwidth":{"refill_time":0,"size":0}},"tx_rate_limiter":{"bandwidth":{"refill_time":0,"size":0}}}`,
		`PATCH /vm {"state":"Resumed"}`,
	}, f.asked)
}

func TestRestore_RefusesASnapshotOfAnotherSize(t *testing.T) {
	f := newFake(t, nil)
	spec := wanted
	spec.MemoryMiB = 1024
	require.ErrorContains(t, f.restore(t.Context(), spec), "of 2 CPUs and 512 MiB, not of 2 and 1024")
}

func TestSetState_TellsWhyFirecrackerRefuses(t *testing.T) {
	for name, status := range map[string]int{"a request that it does not take": http.StatusBadRequest, "a fault of its own": http.StatusInternalServerError} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, func(w http.ResponseWriter, _ *http.Request) bool {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(status)
				fmt.Fprint(w, `{"fault_message":"no such state"}`)
				return true
			})
			err := f.setState(t.Context(), models.VMStatePaused)
			var refused *refusal
			require.ErrorAs(t, err, &refused)
			require.EqualError(t, err, "Firecracker refuses: no such state")
		})
	}
}

// The SDK's client panics on some of these.
func TestTransport_RefusesAnswersThatNoCallExpects(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"a success with content": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") },
		"another success":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) },
		"a redirection": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/machine-config", http.StatusSeeOther)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, func(w http.ResponseWriter, r *http.Request) bool {
				answer(w, r)
				return true
			})
			require.ErrorContains(t, f.setState(t.Context(), models.VMStatePaused), "unexpected status")
			require.Len(t, f.asked, 1)
		})
	}
	t.Run("an answer to GET without content", func(t *testing.T) {
		f := newFake(t, func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusNoContent)
			return true
		})
		require.ErrorContains(t, f.load(t.Context(), wanted), "unexpected status")
	})
	t.Run("an answer without end", func(t *testing.T) {
		f := newFake(t, func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"fault_message":"`)
			for {
				if _, err := fmt.Fprint(w, strings.Repeat("x", 4096)); err != nil {
					return true
				}
			}
		})
		require.Error(t, f.setState(t.Context(), models.VMStatePaused))
	})
}
