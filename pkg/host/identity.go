package host

import (
	"context"
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/pkg/workload"
)

// SetSigningKey replaces the key by which the host signs identity tokens.
func (c *Client) SetSigningKey(ctx context.Context, key *workload.Key) error {
	private, err := key.Marshal()
	if err != nil {
		return fmt.Errorf("hand over a signing key: %w", err)
	}
	_, err = c.rpc.SetSigningKey(ctx, connect.NewRequest(&pb.SetSigningKeyRequest{
		KeyId: key.ID, PrivateKey: private, Issuer: key.Issuer, NotAfter: timestamppb.New(key.NotAfter),
	}))
	return translate("hand over a signing key", err)
}
