package auth

// Headers with credentials of the control API, in canonical form. Each must be in
// CredentialHeaders, because no guest may see one.
const (
	APIKeyHeader     = "X-Api-Key"
	AdminTokenHeader = "X-Admin-Token"
	CSRFHeader       = "X-Csrf-Token"
)

// CredentialHeaders are removed from every request to a guest.
var CredentialHeaders = []string{APIKeyHeader, AdminTokenHeader, CSRFHeader}

// TeamHeader names the team of a request. It is not a credential.
const TeamHeader = "X-Team-Id"

// CookiePrefix begins the name of every cookie of the control API. Cookies with it are
// removed from requests to guests and from their answers.
const CookiePrefix = "wrenn_"
