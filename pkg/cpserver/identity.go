package cpserver

import (
	"context"
	"fmt"
	"os"
	"strings"

	"git.omukk.dev/wrenn/sandbox/internal/api/access"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/config"
	"git.omukk.dev/wrenn/sandbox/pkg/identity"
)

// publicURL is where browsers and verifiers of identity tokens reach this server.
func (s *server) publicURL() string {
	if configured := strings.TrimRight(s.config.Identity.PublicURL, "/"); configured != "" {
		return configured
	}
	return "http://" + s.config.Domain
}

// buildIdentity makes what people sign in with.
func (s *server) buildIdentity(context.Context) error {
	settings := s.config.Identity
	settings.PublicURL = s.publicURL()
	adminToken, err := readSecretFile("WRENN_ADMIN_TOKEN_FILE", settings.AdminTokenFile)
	if err != nil {
		return err
	}
	providers, err := providersOf(settings)
	if err != nil {
		return err
	}
	s.identity = identity.New(s.pool, s.mailer, s.keyring, s.log, identity.Config{
		PublicURL: settings.PublicURL, NewTeamLimits: s.config.TeamLimits,
	})
	for _, provider := range append(providers, s.providers...) {
		if err := s.identity.AddProvider(provider); err != nil {
			return err
		}
	}
	s.adminToken = adminToken
	s.api.Access.Authenticator = auth.NewAuthenticator(s.pool, adminToken)
	s.api.Identity, s.api.FirstTeam = s.identity, defaultTeam
	s.api.Access.PublicURL, s.api.Access.Clients = settings.PublicURL, access.Clients{TrustedProxies: settings.TrustedProxies}
	s.parts.Background("send mail", s.identity.Run)
	return nil
}

func providersOf(settings config.Identity) ([]identity.Provider, error) {
	var providers []identity.Provider
	if github := settings.GitHub; github.ClientID != "" {
		secret, err := readSecretFile("WRENN_GITHUB_CLIENT_SECRET_FILE", github.ClientSecretFile)
		if err != nil {
			return nil, err
		}
		providers = append(providers, identity.NewGitHub(identity.GitHubConfig{
			ClientID: github.ClientID, ClientSecret: secret, URL: github.URL, APIURL: github.APIURL, SignUp: identity.SignUp(github.SignUp),
		}))
	}
	if oidc := settings.OIDC; oidc.Issuer != "" {
		secret, err := readSecretFile("WRENN_OIDC_CLIENT_SECRET_FILE", oidc.ClientSecretFile)
		if err != nil {
			return nil, err
		}
		providers = append(providers, identity.NewOIDC(identity.OIDCConfig{
			Name: oidc.Name, Issuer: oidc.Issuer, ClientID: oidc.ClientID, ClientSecret: secret, SignUp: identity.SignUp(oidc.SignUp),
		}))
	}
	return providers, nil
}

// readSecretFile returns a file's text, and "" where there is no file.
func readSecretFile(variable, path string) (string, error) {
	if path == "" {
		return "", nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", variable, err)
	}
	secret := strings.TrimSpace(string(content))
	if secret == "" {
		return "", fmt.Errorf("%s: %s is empty", variable, path)
	}
	return secret, nil
}

// showFirstAdminLink tells whoever started the server how to become its admin, as
// long as there is none. It goes to standard output, not to the log: it is a
// secret.
func (s *server) showFirstAdminLink(ctx context.Context) error {
	link, err := s.identity.FirstAdminLink(ctx)
	if err != nil {
		return err
	}
	if link != "" {
		_, _ = fmt.Fprintln(s.output, "to make the first admin, open this link within a day:", link)
	}
	return nil
}
