package identity

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// OIDCConfig names an OpenID Connect provider.
type OIDCConfig struct {
	Issuer       string
	ClientID     string
	ClientSecret string
	// SignUp gives an account to everybody whom the provider knows.
	SignUp bool
}

// OIDC is an OpenID Connect provider. It is asked for its addresses at its first
// use, so that it may be away when Wrenn starts.
type OIDC struct {
	config     OIDCConfig
	client     *http.Client
	discovered atomic.Pointer[oidc.Provider]
}

// NewOIDC makes an OIDC.
func NewOIDC(config OIDCConfig) *OIDC {
	return &OIDC{config: config, client: providerClient(config.Issuer)}
}

// SignUp says whether somebody who was not invited gets an account.
func (o *OIDC) SignUp() bool { return o.config.SignUp }

func (o *OIDC) discover(ctx context.Context) (*oidc.Provider, error) {
	if known := o.discovered.Load(); known != nil {
		return known, nil
	}
	// The provider keeps the context, to fetch keys with later.
	found, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), o.client), o.config.Issuer)
	if err != nil {
		return nil, providerAway(err)
	}
	o.discovered.Store(found)
	return found, nil
}

func (o *OIDC) oauth(provider *oidc.Provider, redirect string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: o.config.ClientID, ClientSecret: o.config.ClientSecret, Endpoint: provider.Endpoint(),
		RedirectURL: redirect, Scopes: []string{oidc.ScopeOpenID, "email", "profile"},
	}
}

// Begin returns where a browser goes to ask the provider.
func (o *OIDC) Begin(ctx context.Context, attempt Attempt) (string, error) {
	provider, err := o.discover(ctx)
	if err != nil {
		return "", err
	}
	return o.oauth(provider, attempt.Redirect).AuthCodeURL(attempt.State, oidc.Nonce(attempt.Nonce), oauth2.S256ChallengeOption(attempt.Verifier)), nil
}

// Finish trades the code for an ID token and checks it.
func (o *OIDC) Finish(ctx context.Context, attempt Attempt, code string) (External, error) {
	provider, err := o.discover(ctx)
	if err != nil {
		return External{}, err
	}
	ctx = oidc.ClientContext(ctx, o.client)
	tokens, err := o.oauth(provider, attempt.Redirect).Exchange(ctx, code, oauth2.VerifierOption(attempt.Verifier))
	if err != nil {
		return External{}, providerAway(err)
	}
	raw, _ := tokens.Extra("id_token").(string)
	token, err := provider.Verifier(&oidc.Config{ClientID: o.config.ClientID}).Verify(ctx, raw)
	if err != nil {
		return External{}, fault.Wrap(fault.Unauthenticated, err, "the sign-in service's answer is not valid")
	}
	if !auth.Equal(token.Nonce, attempt.Nonce) {
		return External{}, fault.New(fault.Unauthenticated, "the sign-in service's answer is for another attempt")
	}
	var claims struct {
		Email    string `json:"email"`
		Verified any    `json:"email_verified"` // some providers send a text
		Name     string `json:"name"`
	}
	if err := token.Claims(&claims); err != nil {
		return External{}, providerAway(fmt.Errorf("read claims: %w", err))
	}
	who := External{Subject: token.Subject, Name: claims.Name}
	if claims.Verified == true || claims.Verified == "true" {
		who.Email = claims.Email
	}
	return who, nil
}
