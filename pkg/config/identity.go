package config

import "net/netip"

// Identity is who may sign in, and how.
type Identity struct {
	// PublicURL is where browsers reach the control plane. With https, cookies are
	// sent over TLS only.
	PublicURL string
	// AdminTokenFile holds what the header X-Admin-Token must be; empty where no
	// such token is wanted.
	AdminTokenFile string
	// TrustedProxies are the networks of proxies in front whose X-Forwarded-For is
	// believed.
	TrustedProxies []netip.Prefix
	// GitHub and OIDC are other services that people may sign in with.
	GitHub GitHub
	OIDC   OIDC
}

// GitHub is an OAuth application of GitHub; without a client ID it is not used.
type GitHub struct {
	ClientID         string
	ClientSecretFile string
	URL, APIURL      string
	// SignUp gives an account to everybody who has one there.
	SignUp bool
}

// OIDC is an OpenID Connect provider; without an issuer it is not used.
type OIDC struct {
	// Name is a part of the provider's redirect address.
	Name             string
	Issuer           string
	ClientID         string
	ClientSecretFile string
	// SignUp gives an account to everybody whom the provider knows.
	SignUp bool
}

func (r *reader) identity() Identity {
	return Identity{
		PublicURL:      r.text("WRENN_PUBLIC_URL", ""),
		AdminTokenFile: r.text("WRENN_ADMIN_TOKEN_FILE", ""),
		TrustedProxies: r.networks("WRENN_TRUSTED_PROXIES"),
		GitHub: GitHub{
			ClientID:         r.text("WRENN_GITHUB_CLIENT_ID", ""),
			ClientSecretFile: r.text("WRENN_GITHUB_CLIENT_SECRET_FILE", ""),
			URL:              r.text("WRENN_GITHUB_URL", "https://github.com"),
			APIURL:           r.text("WRENN_GITHUB_API_URL", "https://api.github.com"),
			SignUp:           r.boolean("WRENN_GITHUB_SIGN_UP"),
		},
		OIDC: OIDC{
			Name:             r.text("WRENN_OIDC_NAME", "oidc"),
			Issuer:           r.text("WRENN_OIDC_ISSUER", ""),
			ClientID:         r.text("WRENN_OIDC_CLIENT_ID", ""),
			ClientSecretFile: r.text("WRENN_OIDC_CLIENT_SECRET_FILE", ""),
			SignUp:           r.boolean("WRENN_OIDC_SIGN_UP"),
		},
	}
}
