package auth

// Headers that carry a credential of the control API, in their canonical form. No
// guest may see what is in one of them: each belongs into CredentialHeaders.
const (
	APIKeyHeader     = "X-Api-Key"
	AdminTokenHeader = "X-Admin-Token"
	CSRFHeader       = "X-Csrf-Token"
)

// CredentialHeaders are taken out of every request to a guest.
var CredentialHeaders = []string{APIKeyHeader, AdminTokenHeader, CSRFHeader}

// TeamHeader names the team that a request is about. It is not a credential.
const TeamHeader = "X-Team-Id"

// CookiePrefix begins the name of every cookie of the control API, by which they are
// taken out of requests to guests and out of their answers.
const CookiePrefix = "wrenn_"
