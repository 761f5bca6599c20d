package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/xml"
	"html"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"testing"
	"time"

	"github.com/crewjam/saml"
	"github.com/stretchr/testify/require"
)

// company is a real SAML identity provider, at which Ada has signed in.
type company struct {
	*saml.IdentityProvider
	metadataFile string
	service      *saml.EntityDescriptor // the edition
}

// newCompany makes an identity provider that knows the edition at an address.
func newCompany(t *testing.T, edition string) *company {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	content, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(content)
	require.NoError(t, err)
	callback, err := url.Parse(edition + "/auth/oidc/sso/callback")
	require.NoError(t, err)
	c := &company{service: (&saml.ServiceProvider{EntityID: "wrenn", AcsURL: *callback}).Metadata()}
	c.IdentityProvider = &saml.IdentityProvider{
		Signer: key, Certificate: certificate, Logger: slog.NewLogLogger(slog.NewTextHandler(t.Output(), nil), slog.LevelError),
		MetadataURL:             url.URL{Scheme: "https", Host: "sso.example.com", Path: "/metadata"},
		SSOURL:                  url.URL{Scheme: "https", Host: "sso.example.com", Path: "/sign-in"},
		ServiceProviderProvider: c, SessionProvider: c,
	}
	metadata, err := xml.Marshal(c.Metadata())
	require.NoError(t, err)
	c.metadataFile = file(t, string(metadata))
	return c
}

// GetServiceProvider returns the one that is known.
func (c *company) GetServiceProvider(*http.Request, string) (*saml.EntityDescriptor, error) {
	return c.service, nil
}

// GetSession returns that of Ada.
func (c *company) GetSession(http.ResponseWriter, *http.Request, *saml.IdpAuthnRequest) *saml.Session {
	return &saml.Session{
		ID: "1", Index: "1", CreateTime: time.Now(), ExpireTime: time.Now().Add(time.Hour),
		NameID: "employee-1", NameIDFormat: string(saml.PersistentNameIDFormat), UserEmail: "ada@example.com",
	}
}

// answer returns the form that the browser gets for the request in an address.
func (c *company) answer(t *testing.T, address string) url.Values {
	t.Helper()
	page := httptest.NewRecorder()
	c.ServeSSO(page, httptest.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody))
	return formOf(t, page)
}

// unasked returns a signed answer to no request.
func (c *company) unasked(t *testing.T) string {
	t.Helper()
	page := httptest.NewRecorder()
	c.ServeIDPInitiated(page, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody), "wrenn", "")
	return formOf(t, page).Get("SAMLResponse")
}

var formField = regexp.MustCompile(`name="(SAMLResponse|RelayState)" value="([^"]*)"`)

func formOf(t *testing.T, page *httptest.ResponseRecorder) url.Values {
	t.Helper()
	require.Equal(t, http.StatusOK, page.Code, page.Body)
	form := url.Values{}
	for _, field := range formField.FindAllStringSubmatch(page.Body.String(), -1) {
		form.Set(field[1], html.UnescapeString(field[2]))
	}
	require.NotEmpty(t, form.Get("SAMLResponse"), page.Body)
	return form
}
