package host

import (
	"context"
	"net/http"
	"net/http/httputil"
	"net/url"

	"connectrpc.com/connect"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
)

// VolumePrefix begins the paths under which a host answers for the content of its
// volumes: the volume's ID and path, dir or file follow.
const VolumePrefix = "/volumes/"

// CreateVolume makes an empty volume that may hold maxBytes, or as much as there is
// room for where that is zero. One that is there keeps its content.
func (c *Client) CreateVolume(ctx context.Context, volumeID string, maxBytes int64) error {
	_, err := c.rpc.CreateVolume(ctx, connect.NewRequest(&pb.CreateVolumeRequest{VolumeId: volumeID, MaxBytes: uint64(maxBytes)}))
	return translate("create volume "+volumeID, err)
}

// DeleteVolume deletes a volume and all that is in it. One that the host does not
// have is deleted already.
func (c *Client) DeleteVolume(ctx context.Context, volumeID string) error {
	_, err := c.rpc.DeleteVolume(ctx, connect.NewRequest(&pb.DeleteVolumeRequest{VolumeId: volumeID}))
	return unlessAbsent(translate("delete volume "+volumeID, err))
}

// VolumeContent hands requests about the content of a volume to its host, and what
// the host answers to the client, both streamed. What is "path", "dir" or "file".
// The caller has checked who asks; nothing of the client's headers but the size of
// the body goes on. Failed is called where the host does not answer.
func (c *Client) VolumeContent(volumeID, what string, failed func(http.ResponseWriter, *http.Request, error)) http.Handler {
	return &httputil.ReverseProxy{
		Transport: c.transport, FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) {
			target, err := url.Parse(c.address + VolumePrefix + volumeID + "/" + what)
			if err != nil {
				panic(err) // all of it is ours
			}
			target.RawQuery = r.In.URL.RawQuery
			r.Out.URL, r.Out.Host, r.Out.Header = target, target.Host, http.Header{}
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			failed(w, r, translate("ask for the content of volume "+volumeID, connect.NewError(connect.CodeUnavailable, err)))
		},
	}
}
