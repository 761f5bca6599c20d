package api

import (
	"context"
	"net/http"

	"github.com/go-jose/go-jose/v4"

	"git.omukk.dev/wrenn/sandbox/internal/api/access"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/workload"
)

// TokenIssuer has the keys by which the identity tokens of sandboxes are verified.
type TokenIssuer interface {
	Issuer() string
	Keys(ctx context.Context) (jose.JSONWebKeySet, error)
}

const (
	descriptionPath = access.WellKnown + "openid-configuration"
	keysPath        = access.WellKnown + "jwks.json"
)

// publishedFor is the Cache-Control of the documents. It is short because a host that
// starts has a new key, which verifiers must learn of soon.
const publishedFor = "public, max-age=60"

func (s *Server) routeWellKnown(router respond.Router) {
	router.Get(descriptionPath, s.describeIssuer)
	router.Get(keysPath, s.listIssuerKeys)
}

// issuerDescription is an issuer's metadata. Source: OpenID Connect Discovery 1.0,
// section 3.
type issuerDescription struct {
	Issuer  string `json:"issuer"`
	JWKSURI string `json:"jwks_uri"`
	// AuthorizationEndpoint is required by the source, and empty: the issuer has none.
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	ResponseTypes         []string `json:"response_types_supported"`
	SubjectTypes          []string `json:"subject_types_supported"`
	Algorithms            []string `json:"id_token_signing_alg_values_supported"`
	Claims                []string `json:"claims_supported"`
}

func (s *Server) describeIssuer(w http.ResponseWriter, _ *http.Request) error {
	if s.TokenIssuer == nil {
		return fault.New(fault.NotFound, "this server issues no identity tokens")
	}
	issuer := s.TokenIssuer.Issuer()
	w.Header().Set("Cache-Control", publishedFor)
	return respond.Value(w, http.StatusOK, issuerDescription{
		Issuer: issuer, JWKSURI: issuer + keysPath, ResponseTypes: []string{"id_token"}, SubjectTypes: []string{"public"},
		Algorithms: []string{string(workload.Algorithm)},
		Claims:     []string{"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "team_id", "sandbox_id", "template_id"},
	}, nil)
}

func (s *Server) listIssuerKeys(w http.ResponseWriter, r *http.Request) error {
	if s.TokenIssuer == nil {
		return fault.New(fault.NotFound, "this server issues no identity tokens")
	}
	keys, err := s.TokenIssuer.Keys(r.Context())
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", publishedFor)
	return respond.Value(w, http.StatusOK, keys, nil)
}
