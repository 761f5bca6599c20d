package provider

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/identity"
)

// OIDCConfig names an OpenID Connect provider.
type OIDCConfig struct {
	// Name is the provider's in addresses; Title is Name where it is empty.
	Name         string
	Title        string
	Issuer       string
	ClientID     string
	ClientSecret string
	SignUp       identity.SignUp
}

// OIDC is an OpenID Connect provider. Its discovery document is fetched at the first
// sign-in, so that the provider need not answer when the server starts.
type OIDC struct {
	config     OIDCConfig
	client     *http.Client
	discovered atomic.Pointer[oidc.Provider]
}

// NewOIDC makes an OIDC.
func NewOIDC(config OIDCConfig) *OIDC {
	if config.Title == "" {
		config.Title = config.Name
	}
	return &OIDC{config: config, client: newClient(config.Issuer)}
}

// Name is the one that the provider was configured with.
func (o *OIDC) Name() string { return o.config.Name }

// Title is the one that the provider was configured with.
func (o *OIDC) Title() string { return o.config.Title }

// SignUp is the policy that the provider was configured with.
func (o *OIDC) SignUp() identity.SignUp { return o.config.SignUp }

func (o *OIDC) discover(ctx context.Context) (*oidc.Provider, error) {
	if known := o.discovered.Load(); known != nil {
		return known, nil
	}
	// The provider keeps the context, to fetch keys with later.
	found, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), o.client), o.config.Issuer)
	if err != nil {
		return nil, away(err)
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

// Begin returns the address of the provider's sign-in page.
func (o *OIDC) Begin(ctx context.Context, attempt identity.Attempt) (string, error) {
	provider, err := o.discover(ctx)
	if err != nil {
		return "", err
	}
	return o.oauth(provider, attempt.CallbackURL).AuthCodeURL(attempt.State, oidc.Nonce(attempt.Nonce), oauth2.S256ChallengeOption(attempt.Verifier)), nil
}

// Finish trades the code for an ID token and checks it.
func (o *OIDC) Finish(ctx context.Context, attempt identity.Attempt, callback *http.Request) (identity.ExternalIdentity, error) {
	code, err := codeOf(callback)
	if err != nil {
		return identity.ExternalIdentity{}, err
	}
	provider, err := o.discover(ctx)
	if err != nil {
		return identity.ExternalIdentity{}, err
	}
	ctx = oidc.ClientContext(ctx, o.client)
	tokens, err := o.oauth(provider, attempt.CallbackURL).Exchange(ctx, code, oauth2.VerifierOption(attempt.Verifier))
	if err != nil {
		return identity.ExternalIdentity{}, away(err)
	}
	raw, _ := tokens.Extra("id_token").(string)
	token, err := provider.Verifier(&oidc.Config{ClientID: o.config.ClientID}).Verify(ctx, raw)
	if err != nil {
		return identity.ExternalIdentity{}, fault.Wrap(fault.Unauthenticated, err, "the sign-in service's answer is not valid")
	}
	if !auth.Equal(token.Nonce, attempt.Nonce) {
		return identity.ExternalIdentity{}, fault.New(fault.Unauthenticated, "the sign-in service's answer is for another attempt")
	}
	var claims struct {
		Email    string `json:"email"`
		Verified any    `json:"email_verified"` // some providers send a text
		Name     string `json:"name"`
	}
	if err := token.Claims(&claims); err != nil {
		return identity.ExternalIdentity{}, away(fmt.Errorf("read claims: %w", err))
	}
	return identity.ExternalIdentity{
		Provider: o.config.Name, Subject: token.Subject, Name: claims.Name,
		Email: claims.Email, EmailVerified: claims.Verified == true || claims.Verified == "true",
	}, nil
}
