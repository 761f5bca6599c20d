package hostagent

import (
	"context"

	"connectrpc.com/connect"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
)

func (s *server) UpdateNetwork(ctx context.Context, request *connect.Request[pb.UpdateNetworkRequest]) (*connect.Response[pb.UpdateNetworkResponse], error) {
	if err := s.sandboxes.UpdateNetwork(ctx, request.Msg.SandboxId, request.Msg.RequestId, fromNetwork(request.Msg.Network, false), fromSecrets(request.Msg.Secrets)); err != nil {
		return nil, refuse(err)
	}
	return connect.NewResponse(&pb.UpdateNetworkResponse{}), nil
}

func (s *server) SetSecrets(_ context.Context, request *connect.Request[pb.SetSecretsRequest]) (*connect.Response[pb.SetSecretsResponse], error) {
	if err := s.sandboxes.SetSecrets(request.Msg.SandboxId, fromSecrets(request.Msg.Secrets)); err != nil {
		return nil, refuse(err)
	}
	return connect.NewResponse(&pb.SetSecretsResponse{}), nil
}

func fromSecrets(secrets *pb.Secrets) egress.SecretValues {
	return egress.SecretValues{Values: secrets.GetValues(), Revision: secrets.GetRevision()}
}

func fromNetwork(policy *pb.NetworkPolicy, denyInternet bool) egress.Spec {
	spec := egress.Spec{
		DenyInternet: denyInternet || policy.GetDenyInternet(),
		AllowOut:     policy.GetAllowOut(), DenyOut: policy.GetDenyOut(), MaskRequestHost: policy.GetMaskRequestHost(),
		Limits: egress.Limits{
			UploadBytesPerSecond:   policy.GetLimits().GetUploadBytesPerSecond(),
			DownloadBytesPerSecond: policy.GetLimits().GetDownloadBytesPerSecond(),
			Connections:            policy.GetLimits().GetConnections(),
		},
	}
	if proxy := policy.GetEgressProxy(); proxy != nil {
		spec.Upstream = egress.Upstream{
			Address: proxy.Address, Username: proxy.Username, Password: proxy.Password,
			TLS: proxy.Tls, ServerName: proxy.ServerName, CACert: proxy.CaCert,
		}
	}
	for _, rule := range policy.GetRules() {
		if spec.Rules == nil {
			spec.Rules = make(map[string][]egress.Rule)
		}
		spec.Rules[rule.Domain] = append(spec.Rules[rule.Domain], egress.Rule{SetHeaders: rule.SetHeaders, RemoveHeaders: rule.RemoveHeaders})
	}
	return spec
}
