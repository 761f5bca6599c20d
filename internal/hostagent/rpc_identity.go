package hostagent

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/workload"
)

func (s *server) SetSigningKey(_ context.Context, request *connect.Request[pb.SetSigningKeyRequest]) (*connect.Response[pb.SetSigningKeyResponse], error) {
	m := request.Msg
	key, err := workload.ParseKey(m.PrivateKey, m.Issuer, m.NotAfter.AsTime())
	if err == nil && key.ID != m.KeyId {
		err = errors.New("the key has another ID")
	}
	if err != nil {
		return nil, refuse(fmt.Errorf("signing key: %w: %w", err, sandbox.ErrInvalid))
	}
	s.sandboxes.Signer().Set(key)
	return connect.NewResponse(&pb.SetSigningKeyResponse{}), nil
}

func fromWorkload(identity *pb.WorkloadIdentity) workload.Identity {
	who := workload.Identity{TeamID: identity.GetTeamId(), TemplateID: identity.GetTemplateId()}
	for name, token := range identity.GetTokens() {
		if who.Tokens == nil {
			who.Tokens = workload.Tokens{}
		}
		who.Tokens[name] = workload.Token{Audience: token.GetAudience(), TokenType: token.GetTokenType()}
	}
	return who
}
