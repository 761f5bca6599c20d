// Package sso signs people in by the company's SAML identity provider.
package sso

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"

	"github.com/crewjam/saml"
	"github.com/crewjam/saml/samlsp"

	"git.omukk.dev/wrenn/sandbox/pkg/cpextension"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/identity"
)

// mailAttribute is the name of the e-mail address in assertions.
const mailAttribute = "urn:oid:0.9.2342.19200300.100.1.3"

// Provider is the way to sign in, for cpserver.WithIdentityProvider. It has settings,
// so it is an extension too, for cpserver.WithExtensions.
type Provider struct {
	settings struct {
		MetadataFile string `env:"WRENN_SSO_METADATA_FILE" required:"true" help:"file with the SAML metadata of the identity provider"`
		EntityID     string `env:"WRENN_SSO_ENTITY_ID" default:"wrenn" help:"what the identity provider calls this Wrenn"`
	}
	company *saml.EntityDescriptor // the identity provider
}

// Name is in the address that the identity provider answers to,
// /auth/oidc/sso/callback. It must never change.
func (p *Provider) Name() string { return "sso" }

// Title is on the sign-in page.
func (p *Provider) Title() string { return "Example Corp" }

// SignUp gives each person of the company an account at the first sign-in.
func (p *Provider) SignUp() identity.SignUp { return identity.Everyone }

// Required makes the server fail to start without the identity provider's metadata.
func (p *Provider) Required() bool { return true }

// Configuration has the settings.
func (p *Provider) Configuration() any { return &p.settings }

// Start reads the identity provider's metadata, which has its address and certificate.
func (p *Provider) Start(context.Context, *cpextension.ServerContext) error {
	content, err := os.ReadFile(p.settings.MetadataFile)
	if err != nil {
		return err
	}
	if p.company, err = samlsp.ParseMetadata(content); err != nil {
		return fmt.Errorf("WRENN_SSO_METADATA_FILE %s: %w", p.settings.MetadataFile, err)
	}
	return nil
}

// Begin sends the browser to the identity provider with a request of the attempt's ID.
func (p *Provider) Begin(_ context.Context, attempt identity.Attempt) (string, error) {
	service, requestID, err := p.service(attempt)
	if err != nil {
		return "", err
	}
	address := service.GetSSOBindingLocation(saml.HTTPRedirectBinding)
	request, err := service.MakeAuthenticationRequest(address, saml.HTTPRedirectBinding, saml.HTTPPostBinding)
	if err != nil {
		return "", err
	}
	request.ID = requestID
	redirect, err := request.Redirect(attempt.State, service)
	if err != nil {
		return "", err
	}
	return redirect.String(), nil
}

// Finish checks that the assertion is signed by the identity provider, is for this
// Wrenn, is in its time, and answers the attempt's request.
func (p *Provider) Finish(_ context.Context, attempt identity.Attempt, callback *http.Request) (who identity.ExternalIdentity, err error) {
	service, requestID, err := p.service(attempt)
	if err != nil {
		return who, err
	}
	assertion, err := service.ParseResponse(callback, []string{requestID})
	if err != nil {
		return who, fault.New(fault.Unauthenticated, "the answer of %s is not valid", p.Title())
	}
	who.Subject, who.EmailVerified = assertion.Subject.NameID.Value, true
	for _, statement := range assertion.AttributeStatements {
		for _, attribute := range statement.Attributes {
			if attribute.Name == mailAttribute && len(attribute.Values) == 1 {
				who.Email = attribute.Values[0].Value
			}
		}
	}
	return who, nil
}

// service is this Wrenn as the identity provider sees it in one attempt.
func (p *Provider) service(attempt identity.Attempt) (_ *saml.ServiceProvider, requestID string, err error) {
	callback, err := url.Parse(attempt.CallbackURL)
	if err != nil {
		return nil, "", err
	}
	return &saml.ServiceProvider{
		EntityID: p.settings.EntityID, AcsURL: *callback, IDPMetadata: p.company,
		AuthnNameIDFormat: saml.PersistentNameIDFormat, RejectSHA1Signatures: true, RejectUnknownConditions: true,
	}, "id-" + attempt.Nonce, nil
}
