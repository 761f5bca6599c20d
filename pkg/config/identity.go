package config

import "net/netip"

// Identity is who may sign in, and how.
type Identity struct {
	// PublicURL is where browsers reach the control plane. With https, cookies are
	// sent over TLS only.
	PublicURL string `env:"WRENN_PUBLIC_URL" derived:"http:// and WRENN_DOMAIN" help:"where browsers, and verifiers of identity tokens, reach the control plane; with https, cookies are sent over TLS only"`
	// TrustedProxies are the networks of proxies in front whose X-Forwarded-For is
	// believed.
	TrustedProxies []netip.Prefix `env:"WRENN_TRUSTED_PROXIES" help:"networks, separated by commas, of proxies in front whose X-Forwarded-For is believed"`
	// AdminTokenFile holds what the header X-Admin-Token must be; without it no such
	// token is accepted.
	AdminTokenFile string `env:"WRENN_ADMIN_TOKEN_FILE" help:"file with the token that the header X-Admin-Token must have; without it no such token is accepted"`
	// LocalSignIn lets whoever has the admin token make links that sign in, without a
	// password, an admin of the installation.
	LocalSignIn bool `env:"WRENN_LOCAL_SIGN_IN" default:"false" help:"whether the admin token can make links that sign in, once and without a password, an admin of the installation; wrenn up sets it"`
	// GitHub and OIDC are other services that people may sign in with.
	GitHub GitHub
	OIDC   OIDC
}

// GitHub is an OAuth application of GitHub; without a client ID it is not used.
type GitHub struct {
	ClientID         string `env:"WRENN_GITHUB_CLIENT_ID" help:"client ID of the OAuth application by which people sign in with GitHub"`
	ClientSecretFile string `env:"WRENN_GITHUB_CLIENT_SECRET_FILE" help:"file with the client secret of that application"`
	URL              string `env:"WRENN_GITHUB_URL" default:"https://github.com" help:"where GitHub is, for GitHub Enterprise"`
	APIURL           string `env:"WRENN_GITHUB_API_URL" default:"https://api.github.com" help:"where GitHub's API is, for GitHub Enterprise"`
	// SignUp gives an account to everybody who has one there.
	SignUp bool `env:"WRENN_GITHUB_SIGN_UP" default:"false" help:"whether everyone with an account of GitHub gets one here"`
}

// OIDC is an OpenID Connect provider; without an issuer it is not used.
type OIDC struct {
	// Name is a part of the provider's redirect address.
	Name             string `env:"WRENN_OIDC_NAME" default:"oidc" help:"name of the OpenID Connect provider, a part of its redirect address"`
	Title            string `env:"WRENN_OIDC_TITLE" help:"what the sign-in page calls the provider; its name where this is empty"`
	Issuer           string `env:"WRENN_OIDC_ISSUER" help:"URL of the OpenID Connect provider that people sign in with"`
	ClientID         string `env:"WRENN_OIDC_CLIENT_ID" help:"client ID at that provider"`
	ClientSecretFile string `env:"WRENN_OIDC_CLIENT_SECRET_FILE" help:"file with the client secret at that provider"`
	// SignUp gives an account to everybody whom the provider knows.
	SignUp bool `env:"WRENN_OIDC_SIGN_UP" default:"false" help:"whether everyone whom that provider knows gets an account here"`
}
