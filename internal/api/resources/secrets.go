package resources

import (
	"context"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/audit"
	"git.omukk.dev/wrenn/sandbox/pkg/service/secrets"
)

// Secrets is the service of secrets. A key is an ID or a name.
type Secrets interface {
	Create(ctx context.Context, teamID uuid.UUID, wanted secrets.NewSecret) (secrets.Secret, error)
	List(ctx context.Context, teamID uuid.UUID, pageSize int, pageToken string) (secrets.Page, error)
	Get(ctx context.Context, teamID uuid.UUID, key string) (secrets.Secret, error)
	Update(ctx context.Context, teamID uuid.UUID, key, value string, metadata map[string]string) (secrets.Secret, error)
	Delete(ctx context.Context, teamID uuid.UUID, key string) error
}

// secretAnswer is a secret without its value, which cannot be read back.
type secretAnswer struct {
	SecretID       string            `json:"secretID"`
	Name           string            `json:"name"`
	CurrentVersion int64             `json:"currentVersion"`
	Metadata       map[string]string `json:"metadata"`
	CreatedAt      time.Time         `json:"createdAt"`
	UpdatedAt      time.Time         `json:"updatedAt"`
}

func secretOf(secret secrets.Secret) secretAnswer {
	return secretAnswer{
		SecretID: secret.ID, Name: secret.Name, CurrentVersion: secret.Version, Metadata: secret.Metadata,
		CreatedAt: secret.CreatedAt, UpdatedAt: secret.UpdatedAt,
	}
}

func (h *Handlers) routeSecrets(router respond.Router) {
	router.Get("/secrets", h.listSecrets)
	router.Post("/secrets", h.createSecret)
	router.Get("/secrets/{secretID}", h.getSecret)
	router.Post("/secrets/{secretID}", h.updateSecret)
	router.Delete("/secrets/{secretID}", h.deleteSecret)
}

func (h *Handlers) listSecrets(w http.ResponseWriter, r *http.Request) error {
	size, err := request.PageSize(r.URL.Query().Get("limit"))
	if err != nil {
		return err
	}
	page, err := h.Secrets.List(r.Context(), request.Team(r), size, r.URL.Query().Get("nextToken"))
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
	respond.JSON(w, http.StatusOK, listed)
	return nil
}

func (h *Handlers) createSecret(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Name     string            `json:"name"`
		Value    string            `json:"value"`
		Metadata map[string]string `json:"metadata"`
	}
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	made, err := h.Secrets.Create(r.Context(), request.Team(r), secrets.NewSecret(body))
	if err == nil {
		audit.SetResource(r.Context(), made.ID)
	}
	return respond.Value(w, http.StatusCreated, secretOf(made), err)
}

func (h *Handlers) getSecret(w http.ResponseWriter, r *http.Request) error {
	secret, err := h.Secrets.Get(r.Context(), request.Team(r), chi.URLParam(r, "secretID"))
	return respond.Value(w, http.StatusOK, secretOf(secret), err)
}

func (h *Handlers) updateSecret(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Value    string            `json:"value"`
		Metadata map[string]string `json:"metadata"`
	}
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	changed, err := h.Secrets.Update(r.Context(), request.Team(r), chi.URLParam(r, "secretID"), body.Value, body.Metadata)
	if err == nil {
		audit.SetResource(r.Context(), changed.ID)
	}
	return respond.Value(w, http.StatusOK, secretOf(changed), err)
}

func (h *Handlers) deleteSecret(w http.ResponseWriter, r *http.Request) error {
	return respond.NoContent(w, h.Secrets.Delete(r.Context(), request.Team(r), chi.URLParam(r, "secretID")))
}
