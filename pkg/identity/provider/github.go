package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"golang.org/x/oauth2"

	"git.omukk.dev/wrenn/sandbox/pkg/identity"
)

// GitHubConfig names an OAuth application of GitHub.
type GitHubConfig struct {
	ClientID     string
	ClientSecret string
	// URL and APIURL are those of github.com, or of a GitHub Enterprise Server.
	URL    string
	APIURL string
	SignUp identity.SignUp
}

// GitHub's own addresses.
const (
	GitHubURL    = "https://github.com"
	GitHubAPIURL = "https://api.github.com"
)

// GitHub is GitHub as a provider. GitHub speaks OAuth but not OpenID Connect.
type GitHub struct {
	config GitHubConfig
	client *http.Client
}

// NewGitHub makes a GitHub.
func NewGitHub(config GitHubConfig) *GitHub {
	return &GitHub{config: config, client: newClient(config.URL, config.APIURL)}
}

// Name is "github".
func (*GitHub) Name() string { return "github" }

// Title is "GitHub".
func (*GitHub) Title() string { return "GitHub" }

// SignUp is the policy that the provider was configured with.
func (g *GitHub) SignUp() identity.SignUp { return g.config.SignUp }

func (g *GitHub) oauth(redirect string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: g.config.ClientID, ClientSecret: g.config.ClientSecret,
		Endpoint: oauth2.Endpoint{
			AuthURL: g.config.URL + "/login/oauth/authorize", TokenURL: g.config.URL + "/login/oauth/access_token",
			AuthStyle: oauth2.AuthStyleInParams,
		},
		RedirectURL: redirect, Scopes: []string{"read:user", "user:email"},
	}
}

// Begin returns the address of GitHub's sign-in page.
func (g *GitHub) Begin(_ context.Context, attempt identity.Attempt) (string, error) {
	return g.oauth(attempt.CallbackURL).AuthCodeURL(attempt.State, oauth2.S256ChallengeOption(attempt.Verifier)), nil
}

// Finish trades the code for a token and asks GitHub for the token's user.
func (g *GitHub) Finish(ctx context.Context, attempt identity.Attempt, callback *http.Request) (identity.ExternalIdentity, error) {
	code, err := codeOf(callback)
	if err != nil {
		return identity.ExternalIdentity{}, err
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, g.client)
	oauth := g.oauth(attempt.CallbackURL)
	token, err := oauth.Exchange(ctx, code, oauth2.VerifierOption(attempt.Verifier))
	if err != nil {
		return identity.ExternalIdentity{}, away(err)
	}
	client := oauth.Client(ctx, token)
	var user struct {
		ID    int64  `json:"id"`
		Login string `json:"login"`
		Name  string `json:"name"`
	}
	if err := g.get(ctx, client, "/user", &user); err != nil {
		return identity.ExternalIdentity{}, away(err)
	}
	if user.ID == 0 {
		return identity.ExternalIdentity{}, away(errors.New("GitHub's user has no ID"))
	}
	var emails []struct {
		Email    string `json:"email"`
		Primary  bool   `json:"primary"`
		Verified bool   `json:"verified"`
	}
	if err := g.get(ctx, client, "/user/emails", &emails); err != nil {
		return identity.ExternalIdentity{}, away(err)
	}
	who := identity.ExternalIdentity{Provider: g.Name(), Subject: strconv.FormatInt(user.ID, 10), Name: user.Name}
	if who.Name == "" {
		who.Name = user.Login
	}
	for _, email := range emails {
		if email.Primary && email.Verified {
			who.Email, who.EmailVerified = email.Email, true
		}
	}
	return who, nil
}

func (g *GitHub) get(ctx context.Context, client *http.Client, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, g.config.APIURL+path, nil)
	if err != nil {
		return fmt.Errorf("ask GitHub: %w", err)
	}
	request.Header.Set("Accept", "application/vnd.github+json")
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("ask GitHub: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GitHub answers %s for %s", response.Status, path)
	}
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		return fmt.Errorf("read GitHub's answer: %w", err)
	}
	return nil
}
