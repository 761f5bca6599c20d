package api_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/require"
)

const (
	clientID     = "wrenn"
	clientSecret = "the client's secret"
)

// fakeProvider is an OpenID Connect provider at which all are signed in.
type fakeProvider struct {
	t      *testing.T
	http   *httptest.Server
	key    *rsa.PrivateKey
	signer jose.Signer

	mutex    sync.Mutex
	claims   map[string]any        // of whoever comes next
	audience string                // of the ID tokens
	codes    map[string]url.Values // what was asked for with each code
}

func startProvider(t *testing.T) *fakeProvider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: "1"}}, nil)
	require.NoError(t, err)
	p := &fakeProvider{t: t, key: key, signer: signer, audience: clientID, codes: map[string]url.Values{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.configuration)
	mux.HandleFunc("GET /keys", p.keys)
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.token)
	p.http = httptest.NewServer(mux)
	t.Cleanup(p.http.Close)
	return p
}

// knows says who comes next.
func (p *fakeProvider) knows(subject, email string, verified any) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.claims = map[string]any{"sub": subject, "email": email, "email_verified": verified, "name": "Grace"}
}

func (p *fakeProvider) answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}

func (p *fakeProvider) configuration(w http.ResponseWriter, _ *http.Request) {
	p.answer(w, map[string]any{
		"issuer": p.http.URL, "authorization_endpoint": p.http.URL + "/authorize", "token_endpoint": p.http.URL + "/token",
		"jwks_uri": p.http.URL + "/keys", "id_token_signing_alg_values_supported": []string{"RS256"},
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
	})
}

func (p *fakeProvider) keys(w http.ResponseWriter, _ *http.Request) {
	p.answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &p.key.PublicKey, KeyID: "1", Algorithm: "RS256", Use: "sig"}}})
}

func (p *fakeProvider) authorize(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if query.Get("client_id") != clientID || query.Get("code_challenge_method") != "S256" || query.Get("response_type") != "code" {
		http.Error(w, "not what a client should ask", http.StatusBadRequest)
		return
	}
	code := rand.Text()
	p.mutex.Lock()
	p.codes[code] = query
	p.mutex.Unlock()
	back := url.Values{"code": {code}, "state": {query.Get("state")}}
	http.Redirect(w, r, query.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
}

func (p *fakeProvider) token(w http.ResponseWriter, r *http.Request) {
	user, secret, _ := r.BasicAuth()
	if secret == "" {
		user, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	unescaped, _ := url.QueryUnescape(secret)
	p.mutex.Lock()
	defer p.mutex.Unlock()
	asked, known := p.codes[r.PostFormValue("code")]
	delete(p.codes, r.PostFormValue("code"))
	challenge := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if user != clientID || secret != clientSecret && unescaped != clientSecret || !known ||
		asked.Get("redirect_uri") != r.PostFormValue("redirect_uri") ||
		asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(challenge[:]) {
		w.WriteHeader(http.StatusBadRequest)
		p.answer(w, map[string]string{"error": "invalid_grant"})
		return
	}
	claims := map[string]any{
		"iss": p.http.URL, "aud": p.audience, "nonce": asked.Get("nonce"),
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(),
	}
	for name, value := range p.claims {
		claims[name] = value
	}
	signed, err := jwt.Signed(p.signer).Claims(claims).Serialize()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	p.answer(w, map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": signed})
}

// github answers as GitHub's API does.
func startGitHub(t *testing.T, id int64, email string, verified bool) *httptest.Server {
	t.Helper()
	const token = "gho_token"
	write := func(w http.ResponseWriter, value any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(value)
	}
	asUser := func(value any) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer "+token {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			write(w, value)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login/oauth/authorize", func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		http.Redirect(w, r, query.Get("redirect_uri")+"?code=c0de&state="+url.QueryEscape(query.Get("state")), http.StatusFound)
	})
	mux.HandleFunc("POST /login/oauth/access_token", func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("code") != "c0de" || r.PostFormValue("client_secret") != clientSecret {
			write(w, map[string]string{"error": "bad_verification_code"})
			return
		}
		write(w, map[string]string{"access_token": token, "token_type": "bearer"})
	})
	mux.HandleFunc("GET /user", asUser(map[string]any{"id": id, "login": "grace", "name": nil}))
	mux.HandleFunc("GET /user/emails", asUser([]map[string]any{
		{"email": "other@example.com", "primary": false, "verified": true},
		{"email": email, "primary": true, "verified": verified},
	}))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}
