package host

import (
	"context"
	"net/http"
	"net/http/httputil"
	"net/url"

	"connectrpc.com/connect"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
)

// VolumePrefix begins the paths of a host's routes for the content of volumes. The
// volume's ID and "path", "dir" or "file" follow.
const VolumePrefix = "/volumes/"

// CreateVolume makes an empty volume for up to maxBytes; 0 is no limit. An existing volume
// keeps its content.
func (c *Client) CreateVolume(ctx context.Context, volumeID string, maxBytes int64) error {
	_, err := c.rpc.CreateVolume(ctx, connect.NewRequest(&pb.CreateVolumeRequest{VolumeId: volumeID, MaxBytes: uint64(maxBytes)}))
	return translate("create volume "+volumeID, err)
}

// DeleteVolume deletes a volume with its content. It succeeds where the host does not have
// it.
func (c *Client) DeleteVolume(ctx context.Context, volumeID string) error {
	_, err := c.rpc.DeleteVolume(ctx, connect.NewRequest(&pb.DeleteVolumeRequest{VolumeId: volumeID}))
	return unlessAbsent(translate("delete volume "+volumeID, err))
}

// VolumeContent returns a handler that forwards requests for the content of a volume to
// its host; bodies are streamed in both directions. what is "path", "dir" or "file". The
// caller has checked the client's rights. Of the client's headers only the size of the
// body is sent. failed answers the client where the host does not.
func (c *Client) VolumeContent(volumeID, what string, failed func(http.ResponseWriter, *http.Request, error)) http.Handler {
	return &httputil.ReverseProxy{
		Transport: c.transport, FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) {
			target, err := url.Parse(c.address + VolumePrefix + volumeID + "/" + what)
			if err != nil {
				panic(err) // no part of it comes from a client
			}
			target.RawQuery = r.In.URL.RawQuery
			r.Out.URL, r.Out.Host, r.Out.Header = target, target.Host, http.Header{}
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			failed(w, r, translate("ask for the content of volume "+volumeID, connect.NewError(connect.CodeUnavailable, err)))
		},
	}
}
