package image

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/google/go-containerregistry/pkg/authn"
)

// Credentials open a registry: Basic, AWS or Google.
type Credentials interface {
	// authenticator returns what to log in with.
	authenticator(ctx context.Context, through http.RoundTripper) (authn.Authenticator, error)
}

// Basic is a name and a password or token.
type Basic struct{ Username, Password string }

func (b Basic) authenticator(context.Context, http.RoundTripper) (authn.Authenticator, error) { //nolint:unparam // as the interface has it
	return &authn.Basic{Username: b.Username, Password: b.Password}, nil
}

// Google is the key file of a service account, for Artifact Registry and Container
// Registry.
type Google struct{ ServiceAccountJSON string }

// googleKeyUser is the user name that says that the password is a key file.
// Source: Artifact Registry's documentation, "Authenticating with a service account key".
const googleKeyUser = "_json_key"

func (g Google) authenticator(context.Context, http.RoundTripper) (authn.Authenticator, error) {
	var key struct {
		Type       string `json:"type"`
		PrivateKey string `json:"private_key"`
	}
	if json.Unmarshal([]byte(g.ServiceAccountJSON), &key) != nil || key.Type != "service_account" || key.PrivateKey == "" {
		return nil, &Error{Cause: Unauthorized, Message: "The Google credentials are not the key file of a service account. Give the whole JSON file that Google Cloud has made."}
	}
	return &authn.Basic{Username: googleKeyUser, Password: g.ServiceAccountJSON}, nil
}
