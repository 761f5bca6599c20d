package cpserver

import (
	"context"
	"fmt"
	"io"
	"strings"

	"git.omukk.dev/wrenn/sandbox/internal/boot"
	"git.omukk.dev/wrenn/sandbox/pkg/config"
	"git.omukk.dev/wrenn/sandbox/pkg/identity"
	"git.omukk.dev/wrenn/sandbox/pkg/identity/provider"
)

// publicURL is the URL at which browsers and verifiers of identity tokens reach the
// control plane.
func publicURL(config config.Config) string {
	if configured := strings.TrimRight(config.Identity.PublicURL, "/"); configured != "" {
		return configured
	}
	return "http://" + config.Domain
}

// openIdentity makes the service of people and teams, with the configured ways to sign
// in and those that were passed to Run. It sends mail until the stop.
func openIdentity(steps *boot.Sequence, b *base, others []identity.Provider) (*identity.Service, error) {
	providers, err := providersOf(b.Config.Identity)
	if err != nil {
		return nil, err
	}
	service := identity.New(b.Pool, b.mailer, b.keys.keyring, b.Log, identity.Config{
		PublicURL: publicURL(b.Config), NewTeamLimits: b.Config.TeamLimits, LocalSignIn: b.Config.Identity.LocalSignIn,
	})
	for _, provider := range append(providers, others...) {
		if err := service.AddProvider(provider); err != nil {
			return nil, err
		}
	}
	steps.Background("send mail", service.Run)
	return service, nil
}

func providersOf(settings config.Identity) ([]identity.Provider, error) {
	var providers []identity.Provider
	if github := settings.GitHub; github.ClientID != "" {
		secret, err := readSecretFile("WRENN_GITHUB_CLIENT_SECRET_FILE", github.ClientSecretFile)
		if err != nil {
			return nil, err
		}
		providers = append(providers, provider.NewGitHub(provider.GitHubConfig{
			ClientID: github.ClientID, ClientSecret: secret, URL: github.URL, APIURL: github.APIURL, SignUp: identity.SignUp(github.SignUp),
		}))
	}
	if oidc := settings.OIDC; oidc.Issuer != "" {
		secret, err := readSecretFile("WRENN_OIDC_CLIENT_SECRET_FILE", oidc.ClientSecretFile)
		if err != nil {
			return nil, err
		}
		providers = append(providers, provider.NewOIDC(provider.OIDCConfig{
			Name: oidc.Name, Title: oidc.Title, Issuer: oidc.Issuer, ClientID: oidc.ClientID, ClientSecret: secret, SignUp: identity.SignUp(oidc.SignUp),
		}))
	}
	return providers, nil
}

// printFirstAdminLink prints the link that makes the first admin, until there is one.
// It is a secret, so it is not logged.
func printFirstAdminLink(ctx context.Context, output io.Writer, people *identity.Service) error {
	link, err := people.FirstAdminLink(ctx)
	if err != nil {
		return err
	}
	if link != "" {
		_, _ = fmt.Fprintln(output, "to make the first admin, open this link within a day:", link)
	}
	return nil
}
