package hosttest

import (
	"context"
	"fmt"
	"time"

	"connectrpc.com/connect"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/pkg/workload"
)

// SetSigningKey implements the service.
func (a *Agent) SetSigningKey(ctx context.Context, request *connect.Request[pb.SetSigningKeyRequest]) (*connect.Response[pb.SetSigningKeyResponse], error) {
	if err := a.enter(ctx, "set signing key", ""); err != nil {
		return nil, err
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.signingKey = request.Msg
	return connect.NewResponse(&pb.SetSigningKeyResponse{}), nil
}

// SigningKeyID is the ID of the key that the agent has; empty for none.
func (a *Agent) SigningKeyID() string {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return a.signingKey.GetKeyId()
}

// ForgetSigningKey takes the agent's key, as a restart does.
func (a *Agent) ForgetSigningKey() {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.signingKey = nil
}

// Sign makes an identity token as a host does, for a sandbox that was created.
func (a *Agent) Sign(sandboxID, name string) (string, error) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	key, err := workload.ParseKey(a.signingKey.GetPrivateKey(), a.signingKey.GetIssuer(), a.signingKey.GetNotAfter().AsTime())
	if err != nil {
		return "", fmt.Errorf("read the signing key: %w", err)
	}
	who := a.creations[sandboxID].GetWorkloadIdentity()
	tokens := workload.Tokens{}
	for name, token := range who.GetTokens() {
		tokens[name] = workload.Token{Audience: token.Audience, TokenType: token.TokenType}
	}
	signer := new(workload.Signer)
	signer.Set(key)
	return signer.Sign(sandboxID, workload.Identity{TeamID: who.GetTeamId(), TemplateID: who.GetTemplateId(), Tokens: tokens}, name, time.Now())
}
