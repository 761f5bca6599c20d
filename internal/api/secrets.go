package api

import (
	"context"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/audit"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/service/secrets"
)

// Secrets is the service behind the routes of secrets. A key is an ID or a name.
type Secrets interface {
	Create(ctx context.Context, teamID uuid.UUID, wanted secrets.NewSecret) (rows.Secret, error)
	List(ctx context.Context, teamID uuid.UUID, pageSize int, pageToken string) (secrets.Page, error)
	Get(ctx context.Context, teamID uuid.UUID, key string) (rows.Secret, error)
	Update(ctx context.Context, teamID uuid.UUID, key, value string, metadata map[string]string) (rows.Secret, error)
	Delete(ctx context.Context, teamID uuid.UUID, key string) error
}

// secretAnswer is what a team sees of a secret: never its value.
type secretAnswer struct {
	SecretID       string            `json:"secretID"`
	Name           string            `json:"name"`
	CurrentVersion int64             `json:"currentVersion"`
	Metadata       map[string]string `json:"metadata"`
	CreatedAt      time.Time         `json:"createdAt"`
	UpdatedAt      time.Time         `json:"updatedAt"`
}

func secretOf(secret rows.Secret) secretAnswer {
	return secretAnswer{
		SecretID: secret.ID, Name: secret.Name, CurrentVersion: secret.Version, Metadata: secret.Metadata,
		CreatedAt: secret.CreatedAt, UpdatedAt: secret.UpdatedAt,
	}
}

func (s *Server) routeSecrets(router chi.Router) {
	router.Get("/secrets", s.handle(s.listSecrets))
	router.Post("/secrets", s.handle(s.createSecret))
	router.Get("/secrets/{secretID}", s.handle(s.getSecret))
	router.Post("/secrets/{secretID}", s.handle(s.updateSecret))
	router.Delete("/secrets/{secretID}", s.handle(s.deleteSecret))
}

func (s *Server) listSecrets(w http.ResponseWriter, r *http.Request) error {
	size, err := pageSize(r.URL.Query().Get("limit"))
	if err != nil {
		return err
	}
	page, err := s.Secrets.List(r.Context(), teamOf(r), size, r.URL.Query().Get("nextToken"))
	if err != nil {
		return err
	}
	if page.NextToken != "" {
		w.Header().Set("X-Next-Token", page.NextToken)
	}
	listed := make([]secretAnswer, 0, len(page.Secrets))
	for _, secret := range page.Secrets {
		listed = append(listed, secretOf(secret))
	}
	writeJSON(w, http.StatusOK, listed)
	return nil
}

func (s *Server) createSecret(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Name     string            `json:"name"`
		Value    string            `json:"value"`
		Metadata map[string]string `json:"metadata"`
	}
	if err := decode(r, &body); err != nil {
		return err
	}
	made, err := s.Secrets.Create(r.Context(), teamOf(r), secrets.NewSecret(body))
	if err == nil {
		audit.SetResource(r.Context(), made.ID)
	}
	return answer(w, http.StatusCreated, secretOf(made), err)
}

func (s *Server) getSecret(w http.ResponseWriter, r *http.Request) error {
	secret, err := s.Secrets.Get(r.Context(), teamOf(r), chi.URLParam(r, "secretID"))
	return answer(w, http.StatusOK, secretOf(secret), err)
}

func (s *Server) updateSecret(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Value    string            `json:"value"`
		Metadata map[string]string `json:"metadata"`
	}
	if err := decode(r, &body); err != nil {
		return err
	}
	changed, err := s.Secrets.Update(r.Context(), teamOf(r), chi.URLParam(r, "secretID"), body.Value, body.Metadata)
	if err == nil {
		audit.SetResource(r.Context(), changed.ID)
	}
	return answer(w, http.StatusOK, secretOf(changed), err)
}

func (s *Server) deleteSecret(w http.ResponseWriter, r *http.Request) error {
	return noContent(w, s.Secrets.Delete(r.Context(), teamOf(r), chi.URLParam(r, "secretID")))
}

// mayUseSecrets refuses secrets to those who may not even see that they exist: to
// choose where a secret is sent is to learn it.
func mayUseSecrets(r *http.Request, rules map[string][]rows.NetworkRule) error {
	names, err := rows.Network{Rules: rules}.References()
	if err == nil && len(names.Secrets) > 0 && !auth.PrincipalOf(r.Context()).May(auth.SecretRead) {
		return fault.New(fault.Forbidden, "network.rules refer to secrets, which takes %s", auth.SecretRead)
	}
	return nil // what is malformed is the service's to refuse
}
