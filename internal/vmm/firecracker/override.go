package firecracker

import (
	"context"
	"net/http"

	"github.com/firecracker-microvm/firecracker-go-sdk/client/models"
	"github.com/firecracker-microvm/firecracker-go-sdk/client/operations"
	"github.com/go-openapi/runtime"
	"github.com/go-openapi/strfmt"
)

// snapshotToLoad is what the SDK's model of version 1.4.1 lacks of PUT /snapshot/load:
// the TAP interface of the machine that is restored, which is not the one that the
// snapshot was taken with, and the name under which dirty pages are tracked since
// version 1.13.
// Source: Firecracker's src/firecracker/swagger/firecracker.yaml.
type snapshotToLoad struct {
	models.SnapshotLoadParams

	TrackDirtyPages  bool              `json:"track_dirty_pages"`
	NetworkOverrides []networkOverride `json:"network_overrides"`
}

type networkOverride struct {
	InterfaceID string `json:"iface_id"`
	TapDevice   string `json:"host_dev_name"`
}

// WriteToRequest makes the snapshot the body of a call.
func (s snapshotToLoad) WriteToRequest(request runtime.ClientRequest, _ strfmt.Registry) error {
	return request.SetBodyParam(s)
}

// loadSnapshot is the SDK's LoadSnapshot with these fields.
func (a *api) loadSnapshot(ctx context.Context, snapshot snapshotToLoad) error {
	const contentType = "application/json"
	_, err := a.runtime.SubmitContext(ctx, &runtime.ClientOperation{
		ID: "loadSnapshot", Method: http.MethodPut, PathPattern: "/snapshot/load",
		ProducesMediaTypes: []string{contentType}, ConsumesMediaTypes: []string{contentType}, Schemes: []string{"http"},
		Params: snapshot, Reader: &operations.LoadSnapshotReader{},
	})
	return explain(err)
}
